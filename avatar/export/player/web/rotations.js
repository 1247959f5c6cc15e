// 3x3 matrices, flat by rows.

/** The rotation of an axis-angle vector (rad), as avatar/rig/rotations.py has it. */
export function rotationMatrix([x, y, z]) {
  const square = x * x + y * y + z * z;
  const angle = Math.sqrt(square);
  const s = square < 1e-8 ? 1 - square / 6 : Math.sin(angle) / angle;
  const c = square < 1e-8 ? 0.5 - square / 24 : (1 - Math.cos(angle)) / square;
  return [
    1 - c * (y * y + z * z), c * x * y - s * z, c * x * z + s * y,
    c * x * y + s * z, 1 - c * (x * x + z * z), c * y * z - s * x,
    c * x * z - s * y, c * y * z + s * x, 1 - c * (x * x + y * y),
  ];
}

/** The product of two matrices. */
export function product(a, b) {
  const result = new Array(9);
  for (let row = 0; row < 3; row++) {
    for (let column = 0; column < 3; column++) {
      result[3 * row + column] = a[3 * row] * b[column] + a[3 * row + 1] * b[3 + column]
        + a[3 * row + 2] * b[6 + column];
    }
  }
  return result;
}

/** A matrix applied to a vector. */
export function turned(m, [x, y, z]) {
  return [
    m[0] * x + m[1] * y + m[2] * z, m[3] * x + m[4] * y + m[5] * z, m[6] * x + m[7] * y + m[8] * z,
  ];
}

export function transposed(m) {
  return [m[0], m[3], m[6], m[1], m[4], m[7], m[2], m[5], m[8]];
}

/** The axis-angle vector (rad) of a rotation by less than half a turn. */
export function axisAngle(m) {
  const axis = [m[7] - m[5], m[2] - m[6], m[3] - m[1]].map((value) => value / 2);
  const sine = Math.hypot(...axis);
  const angle = Math.atan2(sine, (m[0] + m[4] + m[8] - 1) / 2);
  return axis.map((value) => (sine > 1e-9 ? (value / sine) * angle : value));
}
