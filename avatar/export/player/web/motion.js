// Clips: what the time bar plays, pose by pose.

import { EYES, HEAD } from "./motion_file.js";
import { axisAngle, product, rotationMatrix } from "./rotations.js";

/** A clip of a motion file. `rest` gives all that the motion does not. */
export function motionClip(name, { columns, length, seconds }, header, rest) {
  // Recorders write the same gaze twice.
  const gazes = Object.keys(columns).some((column) => column.startsWith("eyeLook"));
  const setters = Object.entries(columns).map(([column, values]) => {
    const set = setter(column, header, gazes);
    return (pose, step) => set(pose, values[step]);
  });
  return {
    name,
    length,
    seconds,
    label: () => name,
    pose(step) {
      const pose = { ...structuredClone(rest), head: [0, 0, 0] };
      for (const set of setters) set(pose, step);
      pose.neck_pose = axisAngle(product(rotationMatrix(rest.neck_pose), headTurn(pose.head)));
      return pose;
    },
  };
}

/** Pitch, yaw and roll as a matrix: the roll is applied first, the yaw last. */
function headTurn([pitch, yaw, roll]) {
  const tilted = product(rotationMatrix([pitch, 0, 0]), rotationMatrix([0, 0, roll]));
  return product(rotationMatrix([0, yaw, 0]), tilted);
}

/** How a column changes a pose. */
function setter(column, { expressions, actions }, gazes) {
  const expression = expressions.indexOf(column);
  if (expression >= 0) return (pose, value) => { pose.expr[expression] = value; };
  if (column in actions) {
    const [part, component, angle] = actions[column];
    return (pose, value) => { pose[part][component] += angle * value; };
  }
  if (column in EYES) {
    return (pose, value) => { if (!gazes) pose.eyes_pose[EYES[column]] = value; };
  }
  return (pose, value) => { pose.head[HEAD.indexOf(column)] = value; };
}

/** The recording's most ordinary head pose, without expression. */
export function restPose(recording, timestep) {
  const pose = recording.pose(timestep);
  const none = { jaw_pose: [0, 0, 0], eyes_pose: [0, 0, 0, 0, 0, 0] };
  return { ...pose, expr: pose.expr.map(() => 0), ...none };
}

/** A clip of the recording. */
export function recordedClip(header, arrays) {
  const length = arrays.motion_translation.length / 3;
  const column = (name, width, i) =>
    Array.from({ length: width }, (_, k) => arrays[`motion_${name}`][k * length + i]);
  const row = (name, width, i) => [...arrays[`motion_${name}`].subarray(width * i, width * (i + 1))];
  return {
    name: "recording",
    length,
    seconds: header.seconds_per_step,
    label: (i) => header.sequences.findLast(({ first }) => first <= i).name,
    pose: (i) => ({
      expr: column("expr", header.expressions.length, i),
      rotation: row("rotation", 3, i),
      neck_pose: row("neck_pose", 3, i),
      jaw_pose: row("jaw_pose", 3, i),
      eyes_pose: row("eyes_pose", 6, i),
      translation: row("translation", 3, i),
      neck_shift: row("neck_shift", 3, i),
      soft_offset: column("soft_offset", arrays.motion_soft_offset.length / length, i),
    }),
  };
}
