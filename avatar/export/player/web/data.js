// The avatar's data: avatar/export/player/block.py describes the layout.

const TYPES = {
  int8: Int8Array, int16: Int16Array, uint16: Uint16Array, uint32: Uint32Array,
  float32: Float32Array,
};

/** Bytes of base64 text. */
function decodeBase64(text) {
  const characters = atob(text.trim());
  const bytes = new Uint8Array(characters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = characters.charCodeAt(i);
  return bytes;
}

/** Header and arrays of a block: quantised arrays as the values they stand for, all flat. */
export function readBlock(text) {
  const bytes = decodeBase64(text);
  const start = 4 + new DataView(bytes.buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, start)));
  const arrays = {};
  for (const [name, { type, shape, offset, scale }] of Object.entries(header.arrays)) {
    const count = shape.reduce((product, size) => product * size, 1);
    const numbers = new TYPES[type](bytes.buffer, start + offset, count);
    arrays[name] = scale ? scaled(numbers, scale) : numbers;
  }
  return { header, arrays };
}

function scaled(numbers, scale) {
  const values = new Float32Array(numbers.length);
  const length = numbers.length / scale.length;
  for (let row = 0; row < scale.length; row++) {
    for (let i = row * length; i < (row + 1) * length; i++) values[i] = numbers[i] * scale[row];
  }
  return values;
}
