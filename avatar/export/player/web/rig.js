// The head rig: blendshapes, pose correctives and linear blend skinning, as in
// avatar/rig/head_rig.py. A pose is {expr, rotation, neck_pose, jaw_pose, eyes_pose, translation,
// neck_shift, soft_offset}: axis-angle in radians, lengths in metres.

import { product, rotationMatrix, turned } from "./rotations.js";

const NECK_JOINT = 1;
const STILL = 1e-7; // coefficients below it are zero

export class Rig {
  constructor(header, arrays) {
    this.parents = header.parents;
    this.arrays = arrays;
    this.unposed = new Float32Array(arrays.rest.length);
    this.verts = new Float32Array(arrays.rest.length);
  }

  /** Posed vertices [V * 3], world frame, metres; the same array at every call. */
  evaluate(pose) {
    const { rest, exprdirs, posedirs, control_weights } = this.arrays;
    this.unposed.set(rest);
    addDirections(this.unposed, exprdirs, pose.expr);
    addDeformation(this.unposed, control_weights, pose.soft_offset);
    const local = [pose.rotation, pose.neck_pose, pose.jaw_pose, pose.eyes_pose.slice(0, 3),
      pose.eyes_pose.slice(3)].map(rotationMatrix);
    if (posedirs) addDirections(this.unposed, posedirs, poseFeature(local));
    this.skin(this.transforms(local, pose));
    return this.verts;
  }

  /** Rotation and shift of each joint, such that `R x + t` carries a rest point along. */
  transforms(local, pose) {
    const joints = Float32Array.from(this.arrays.joints);
    if (this.arrays.joint_exprdirs) addDirections(joints, this.arrays.joint_exprdirs, pose.expr);
    const found = [];
    for (const [joint, parent] of this.parents.entries()) {
      const origin = [...joints.subarray(3 * joint, 3 * joint + 3)];
      let turn = local[joint];
      let shift = turned(turn, origin).map((value, i) => origin[i] - value);
      if (joint === NECK_JOINT) shift = shift.map((value, i) => value + pose.neck_shift[i]);
      if (parent >= 0) {
        const above = found[parent];
        shift = turned(above.turn, shift).map((value, i) => value + above.shift[i]);
        turn = product(above.turn, turn);
      }
      found.push({ turn, shift });
    }
    // `translation` is added last, to every joint alike: weights sum to one.
    return found.map(({ turn, shift }) => [...turn, ...shift.map((v, i) => v + pose.translation[i])]);
  }

  skin(transforms) {
    const { skin_weights: weights } = this.arrays;
    const { unposed, verts } = this;
    const count = verts.length / 3;
    const m = new Float64Array(12);
    for (let v = 0; v < count; v++) {
      m.fill(0);
      for (let joint = 0; joint < transforms.length; joint++) {
        const weight = weights[joint * count + v];
        if (weight === 0) continue;
        const transform = transforms[joint];
        for (let i = 0; i < 12; i++) m[i] += weight * transform[i];
      }
      const x = unposed[3 * v], y = unposed[3 * v + 1], z = unposed[3 * v + 2];
      verts[3 * v] = m[0] * x + m[1] * y + m[2] * z + m[9];
      verts[3 * v + 1] = m[3] * x + m[4] * y + m[5] * z + m[10];
      verts[3 * v + 2] = m[6] * x + m[7] * y + m[8] * z + m[11];
    }
  }
}

/** Add rows of directions, each times its coefficient. */
function addDirections(target, rows, coefficients) {
  const length = target.length;
  for (let row = 0; row < coefficients.length; row++) {
    const coefficient = coefficients[row];
    if (Math.abs(coefficient) < STILL) continue;
    const first = row * length;
    for (let i = 0; i < length; i++) target[i] += coefficient * rows[first + i];
  }
}

/** Move vertices with the control points, by their weights [C * V]; offsets are [C * 3]. */
function addDeformation(target, weights, offsets) {
  const count = target.length / 3;
  for (let point = 0; 3 * point < offsets.length; point++) {
    const [x, y, z] = offsets.slice(3 * point, 3 * point + 3);
    if (Math.max(Math.abs(x), Math.abs(y), Math.abs(z)) < STILL) continue;
    for (let v = 0, at = point * count; v < count; v++, at++) {
      const weight = weights[at];
      if (weight === 0) continue;
      target[3 * v] += weight * x;
      target[3 * v + 1] += weight * y;
      target[3 * v + 2] += weight * z;
    }
  }
}

/** `R - I` of all joints but the root, 36 numbers. */
function poseFeature(local) {
  return local.slice(1).flatMap((turn) => turn.map((value, i) => value - (i % 4 === 0 ? 1 : 0)));
}
