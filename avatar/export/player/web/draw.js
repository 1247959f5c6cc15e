// The WebGL2 pass. One quad per Gaussian along the axes of its footprint, drawn from far to near
// over each other. Projection and thresholds are those of avatar/render/reference.py: 0.3 px^2
// added to the footprint, alpha at most 0.999 and skipped below 1/255.

import { Order } from "./order.js";
import { transposed, turned } from "./rotations.js";

const FLOATS = 13; // mean, covariance, colour, opacity

const VERTEX = `#version 300 es
precision highp float;
layout(location = 0) in vec2 corner;
layout(location = 1) in vec3 mean;
layout(location = 2) in vec3 covarianceX; // xx xy xz
layout(location = 3) in vec3 covarianceY; // yy yz zz
layout(location = 4) in vec4 color;
uniform mat3 turn; // world to camera
uniform vec3 shift;
uniform vec2 focal;
uniform vec2 centre;
uniform vec2 size;
out vec2 place; // in units of the radius where alpha is 1/255
flat out float power; // ln(255 opacity)
flat out vec4 shown;

void main() {
  gl_Position = vec4(2.0, 2.0, 0.0, 1.0); // outside
  vec3 p = turn * mean + shift;
  power = log(255.0 * color.a);
  if (p.z < 0.01 || power <= 0.0) return;
  vec2 margin = 0.15 * size / focal;
  vec2 slope = clamp(p.xy / p.z, -centre / focal - margin, (size - centre) / focal + margin);
  mat3 sigma = mat3(covarianceX, vec3(covarianceX.y, covarianceY.xy),
                    vec3(covarianceX.z, covarianceY.yz));
  mat3 inCamera = turn * sigma * transpose(turn);
  vec3 jx = vec3(focal.x / p.z, 0.0, -focal.x * slope.x / p.z);
  vec3 jy = vec3(0.0, focal.y / p.z, -focal.y * slope.y / p.z);
  float xx = dot(jx, inCamera * jx) + 0.3;
  float xy = dot(jx, inCamera * jy);
  float yy = dot(jy, inCamera * jy) + 0.3;
  float middle = 0.5 * (xx + yy);
  float apart = length(vec2(0.5 * (xx - yy), xy));
  float angle = 0.5 * atan(2.0 * xy, xx - yy);
  vec2 major = vec2(cos(angle), sin(angle)) * sqrt(2.0 * power * (middle + apart));
  vec2 minor = vec2(-sin(angle), cos(angle)) * sqrt(2.0 * power * max(middle - apart, 0.1));
  vec2 pixel = focal * p.xy / p.z + centre + corner.x * major + corner.y * minor;
  place = corner;
  shown = color;
  gl_Position = vec4(2.0 * pixel / size - 1.0, 0.0, 1.0) * vec4(1.0, -1.0, 1.0, 1.0);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec2 place;
flat in float power;
flat in vec4 shown;
out vec4 pixel;

void main() {
  float square = dot(place, place);
  if (square > 1.0) discard;
  float alpha = min(shown.a * exp(-power * square), 0.999);
  pixel = vec4(max(shown.rgb, 0.0) * alpha, alpha);
}`;

export class Painter {
  /** Throws an Error with a plain message where the browser has no WebGL2. */
  constructor(canvas, splats) {
    this.canvas = canvas;
    this.splats = splats;
    this.order = new Order(splats.count);
    this.instances = new Float32Array(splats.count * FLOATS);
    this.gl = canvas.getContext("webgl2", { antialias: false, depth: false });
    if (!this.gl) throw new Error("This browser has no WebGL2, which the player needs.");
    this.prepare();
  }

  /** Program and buffers; again when the browser gives back a lost context. */
  prepare() {
    const { gl } = this;
    this.program = build(gl);
    gl.useProgram(this.program);
    this.uniforms = Object.fromEntries(["turn", "shift", "focal", "centre", "size"]
      .map((name) => [name, gl.getUniformLocation(this.program, name)]));
    gl.bindVertexArray(gl.createVertexArray());
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array([-1, -1, 1, -1, -1, 1, 1, 1]), gl.STATIC_DRAW);
    gl.enableVertexAttribArray(0);
    gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ARRAY_BUFFER, this.instances.byteLength, gl.DYNAMIC_DRAW);
    let offset = 0;
    for (const [location, length] of [[1, 3], [2, 3], [3, 3], [4, 4]]) {
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, length, gl.FLOAT, false, 4 * FLOATS, 4 * offset);
      gl.vertexAttribDivisor(location, 1);
      offset += length;
    }
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA); // colours are premultiplied
  }

  /** Draw the Gaussians where they are, over nothing, as a camera sees them. */
  draw(camera) {
    const { gl, canvas, uniforms, splats } = this;
    const position = turned(transposed(camera.turn), camera.shift).map((value) => -value);
    this.gather(this.order.sort(splats.means, camera.turn.slice(6)), splats.seenFrom(position));
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, this.instances);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.uniformMatrix3fv(uniforms.turn, true, camera.turn);
    gl.uniform3fv(uniforms.shift, camera.shift);
    gl.uniform2fv(uniforms.focal, camera.focal);
    gl.uniform2fv(uniforms.centre, camera.centre);
    gl.uniform2f(uniforms.size, canvas.width, canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.drawArraysInstanced(gl.TRIANGLE_STRIP, 0, 4, splats.count);
  }

  gather(indices, colors) {
    const { instances } = this;
    const { means, covariances } = this.splats;
    const { opacities } = this.splats.arrays;
    for (let place = 0; place < indices.length; place++) {
      const n = indices[place];
      const to = FLOATS * place;
      for (let i = 0; i < 3; i++) instances[to + i] = means[3 * n + i];
      for (let i = 0; i < 6; i++) instances[to + 3 + i] = covariances[6 * n + i];
      for (let i = 0; i < 3; i++) instances[to + 9 + i] = colors[3 * n + i];
      instances[to + 12] = opacities[n];
    }
  }

  /** The picture as RGBA bytes, top row first; also waits until it is drawn. */
  pixels() {
    const { gl, canvas } = this;
    const row = 4 * canvas.width;
    const upward = new Uint8Array(row * canvas.height);
    gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, upward);
    const result = new Uint8Array(upward.length);
    for (let y = 0; y < canvas.height; y++) {
      result.set(upward.subarray(row * (canvas.height - 1 - y), row * (canvas.height - y)), row * y);
    }
    return result;
  }
}

function build(gl) {
  const program = gl.createProgram();
  for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(type);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
    throw new Error(`The graphics driver refused the player's shaders: ${gl.getProgramInfoLog(program)}`);
  }
  return program;
}
