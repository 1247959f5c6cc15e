// Gaussians carried by the mesh: face frames as in avatar/gaussians/binding.py, the expression
// basis as in avatar/gaussians/basis.py, colours as in avatar/render/reference.py.

const TINY = 1e-12; // m; a collapsed edge has no direction
const SH_C0 = 0.28209479177387814;

export class Splats {
  constructor(header, arrays) {
    this.arrays = arrays;
    this.degree = header.sh_degree;
    this.fade = header.basis_fade;
    this.count = arrays.binding.length;
    this.forms = localForms(arrays.quats, arrays.log_scales, this.count);
    this.frames = new Float32Array((arrays.faces.length / 3) * 12); // k R by rows, then origin
    this.means = new Float32Array(this.count * 3); // world
    this.covariances = new Float32Array(this.count * 6); // xx xy xz yy yz zz, world
    this.colors = new Float32Array(this.count * 3); // what does not depend on the view
    this.local = new Float32Array(this.count * 3); // by component
    this.shifted = new Float32Array(this.count * 3); // sh_dc by component
  }

  /** Carry everything along with a posed mesh. */
  place(verts, pose) {
    faceFrames(verts, this.arrays.faces, this.frames);
    this.blendBasis(pose);
    const { count, frames, means, covariances, forms, local, shifted, colors } = this;
    const { binding } = this.arrays;
    for (let n = 0; n < count; n++) {
      const f = 12 * binding[n];
      const x = local[n], y = local[count + n], z = local[2 * count + n];
      for (let row = 0; row < 3; row++) {
        const a = frames[f + 3 * row], b = frames[f + 3 * row + 1], c = frames[f + 3 * row + 2];
        means[3 * n + row] = a * x + b * y + c * z + frames[f + 9 + row];
        colors[3 * n + row] = shifted[row * count + n] * SH_C0 + 0.5;
      }
      worldCovariance(frames, f, forms, 9 * n, covariances, 6 * n);
    }
  }

  /** Local means and constant colours, with what the expression adds. */
  blendBasis(pose) {
    const { means, sh_dc, basis_means, basis_colors } = this.arrays;
    this.local.set(means);
    this.shifted.set(sh_dc);
    if (!basis_means) return;
    const weights = basisWeights(pose, this.arrays, this.fade);
    addRows(this.local, basis_means, weights, this.count);
    addRows(this.shifted, basis_colors, weights, this.count);
  }

  /** Colours as seen from a position (world), 0 or more; the same array at every call. */
  seenFrom(position) {
    if (this.degree === 0) return this.colors;
    this.seen ??= new Float32Array(this.count * 3);
    const { count, means, colors, seen } = this;
    const rest = this.arrays.sh_rest;
    const size = rest.length / (3 * count);
    const basis = new Float64Array(15);
    for (let n = 0; n < count; n++) {
      const x = means[3 * n] - position[0], y = means[3 * n + 1] - position[1];
      const z = means[3 * n + 2] - position[2];
      const length = Math.hypot(x, y, z) || 1;
      sphericalHarmonics(x / length, y / length, z / length, this.degree, basis);
      for (let c = 0; c < 3; c++) {
        let color = colors[3 * n + c];
        for (let k = 0; k < size; k++) color += basis[k] * rest[(3 * k + c) * count + n];
        seen[3 * n + c] = color;
      }
    }
    return seen;
  }
}

/** `R(q) diag(exp(log_scales))` of every Gaussian, by rows. */
function localForms(quats, logScales, count) {
  const forms = new Float32Array(9 * count);
  for (let n = 0; n < count; n++) {
    let w = quats[n], x = quats[count + n], y = quats[2 * count + n], z = quats[3 * count + n];
    const length = Math.hypot(w, x, y, z);
    w /= length; x /= length; y /= length; z /= length;
    const a = Math.exp(logScales[n]);
    const b = Math.exp(logScales[count + n]);
    const c = Math.exp(logScales[2 * count + n]);
    forms.set([
      a * (1 - 2 * (y * y + z * z)), b * 2 * (x * y - w * z), c * 2 * (x * z + w * y),
      a * 2 * (x * y + w * z), b * (1 - 2 * (x * x + z * z)), c * 2 * (y * z - w * x),
      a * 2 * (x * z - w * y), b * 2 * (y * z + w * x), c * (1 - 2 * (x * x + y * y)),
    ], 9 * n);
  }
  return forms;
}

/** Rotation times size, then origin, of every face. */
function faceFrames(verts, faces, frames) {
  for (let face = 0; face < faces.length / 3; face++) {
    const i = 3 * faces[3 * face], j = 3 * faces[3 * face + 1], k = 3 * faces[3 * face + 2];
    const ex = verts[j] - verts[i], ey = verts[j + 1] - verts[i + 1], ez = verts[j + 2] - verts[i + 2];
    const sx = verts[k] - verts[i], sy = verts[k + 1] - verts[i + 1], sz = verts[k + 2] - verts[i + 2];
    const length = Math.sqrt(ex * ex + ey * ey + ez * ez);
    const l = Math.max(length, TINY);
    const ax = ex / l, ay = ey / l, az = ez / l;
    const nx = ay * sz - az * sy, ny = az * sx - ax * sz, nz = ax * sy - ay * sx;
    const height = Math.sqrt(nx * nx + ny * ny + nz * nz);
    const h = Math.max(height, TINY);
    const bx = nx / h, by = ny / h, bz = nz / h;
    const size = (length + height) / 2;
    const f = 12 * face;
    frames[f] = size * ax; frames[f + 1] = size * bx; frames[f + 2] = size * (ay * bz - az * by);
    frames[f + 3] = size * ay; frames[f + 4] = size * by; frames[f + 5] = size * (az * bx - ax * bz);
    frames[f + 6] = size * az; frames[f + 7] = size * bz; frames[f + 8] = size * (ax * by - ay * bx);
    for (let c = 0; c < 3; c++) frames[f + 9 + c] = (verts[i + c] + verts[j + c] + verts[k + c]) / 3;
  }
}

/** `A A^T` of `A = k R form`: upper triangle by rows. */
function worldCovariance(frames, f, forms, g, covariances, out) {
  let xx = 0, xy = 0, xz = 0, yy = 0, yz = 0, zz = 0;
  for (let column = 0; column < 3; column++) {
    const a = forms[g + column], b = forms[g + 3 + column], c = forms[g + 6 + column];
    const x = frames[f] * a + frames[f + 1] * b + frames[f + 2] * c;
    const y = frames[f + 3] * a + frames[f + 4] * b + frames[f + 5] * c;
    const z = frames[f + 6] * a + frames[f + 7] * b + frames[f + 8] * c;
    xx += x * x; xy += x * y; xz += x * z; yy += y * y; yz += y * z; zz += z * z;
  }
  covariances[out] = xx; covariances[out + 1] = xy; covariances[out + 2] = xz;
  covariances[out + 3] = yy; covariances[out + 4] = yz; covariances[out + 5] = zz;
}

/** Weights of the basis, as in avatar/gaussians/basis.py: kept in their range, fading outside. */
function basisWeights(pose, { space_mean, space_axes, space_lowest, space_highest }, fade) {
  const driving = [...pose.expr, ...pose.jaw_pose];
  const size = space_lowest.length;
  const weights = new Float64Array(size);
  driving.forEach((value, d) => {
    for (let k = 0; k < size; k++) weights[k] += (value - space_mean[d]) * space_axes[d * size + k];
  });
  const within = weights.map((weight, k) =>
    Math.min(Math.max(weight, space_lowest[k]), space_highest[k]));
  const beyond = weights.reduce((sum, weight, k) => sum + (weight - within[k]) ** 2, 0);
  return within.map((weight) => weight * Math.exp(-beyond / (2 * fade ** 2)));
}

/** Add to each of three components its rows, weighted; rows are component-major. */
function addRows(target, rows, weights, count) {
  for (let component = 0; component < 3; component++) {
    const to = component * count;
    for (let k = 0; k < weights.length; k++) {
      const weight = weights[k];
      const from = (component * weights.length + k) * count;
      for (let n = 0; n < count; n++) target[to + n] += weight * rows[from + n];
    }
  }
}

/** Degrees 1 to `degree` at a unit direction; see avatar/render/reference.py. */
function sphericalHarmonics(x, y, z, degree, out) {
  out[0] = -0.4886025119029199 * y;
  out[1] = 0.4886025119029199 * z;
  out[2] = -0.4886025119029199 * x;
  if (degree < 2) return;
  out[3] = 1.0925484305920792 * x * y;
  out[4] = -1.0925484305920792 * y * z;
  out[5] = 0.31539156525252005 * (3 * z * z - 1);
  out[6] = -1.0925484305920792 * x * z;
  out[7] = 0.5462742152960396 * (x * x - y * y);
  if (degree < 3) return;
  out[8] = -0.5900435899266435 * y * (3 * x * x - y * y);
  out[9] = 2.890611442640554 * x * y * z;
  out[10] = -0.4570457994644658 * y * (5 * z * z - 1);
  out[11] = 0.3731763325901154 * z * (5 * z * z - 3);
  out[12] = -0.4570457994644658 * x * (5 * z * z - 1);
  out[13] = 1.445305721320277 * z * (x * x - y * y);
  out[14] = -0.5900435899266435 * x * (x * x - 3 * y * y);
}
