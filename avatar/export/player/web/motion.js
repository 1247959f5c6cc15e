// Motion files dropped on the page: ARKit's 52 coefficients per row. CSV with a header row (as Live
// Link Face writes it; a column `time` in seconds is optional) or JSON {names, frames: [{weights,
// time, rotation}], metadata: {fps}} (as LAM_WebRender plays it).

import { axisAngle, product, rotationMatrix } from "./rotations.js";

const LIVE_LINK_RATE = 60; // rows a second where a CSV has no `time`
const MOST_ROWS = 200000;
const HEAD = ["headPitch", "headYaw", "headRoll"]; // rad, about x, y and z of the head
// Live Link Face also writes what the eyeLook coefficients have already.
const IGNORED = /^(timecode|blendShapeCount|(left|right)Eye(Yaw|Pitch|Roll))$/;

/** A motion: {names, rows, seconds}; `rows` hold numbers in the order of `names`. */
export function readMotion(text) {
  const motion = text.trimStart().startsWith("{") ? fromJson(text) : fromCsv(text);
  if (motion.rows.length === 0) throw new Error("The file has no rows of coefficients.");
  if (motion.rows.length > MOST_ROWS) throw new Error(`The file has over ${MOST_ROWS} rows.`);
  motion.rows.forEach((row, i) => {
    if (row.length !== motion.names.length || !row.every(Number.isFinite)) {
      throw new Error(`Row ${i + 1} is not ${motion.names.length} numbers.`);
    }
  });
  return motion;
}

function fromCsv(text) {
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  const header = (lines.shift() ?? "").replace(/^\uFEFF/, "").split(",").map(lowered);
  const kept = header.flatMap((name, i) => (IGNORED.test(name) || name === "time" ? [] : [i]));
  const cells = lines.map((line) => line.split(","));
  const rows = cells.map((row) => kept.map((i) => number(row[i])));
  const time = header.indexOf("time");
  const times = time < 0 ? null : cells.map((row) => number(row[time]));
  return { names: kept.map((i) => header[i]), rows, seconds: step(times, LIVE_LINK_RATE) };
}

function fromJson(text) {
  const { names, frames, metadata } = JSON.parse(text);
  const listed = names ?? metadata?.blendshape_names;
  if (!Array.isArray(listed) || !Array.isArray(frames)) {
    throw new Error("Expected a JSON object with `names` and `frames`.");
  }
  const turns = frames.some((frame) => frame.rotation?.length === 3);
  const rows = frames.map(({ weights, rotation }) => {
    const turn = rotation?.length === 3 ? rotation : [0, 0, 0];
    return [...(Array.isArray(weights) ? weights : []), ...(turns ? turn : [])].map(number);
  });
  const times = frames.map((frame) => frame.time);
  return {
    names: [...listed.map((name) => lowered(String(name))), ...(turns ? HEAD : [])],
    rows,
    seconds: step(times.every(Number.isFinite) ? times : null, metadata?.fps),
  };
}

function number(cell) {
  return cell === undefined || cell === null || cell === "" ? NaN : Number(cell);
}

/** ARKit's spelling, `eyeBlinkLeft`, from Live Link Face's, `EyeBlinkLeft`. */
function lowered(name) {
  const plain = name.trim();
  return plain.charAt(0).toLowerCase() + plain.slice(1);
}

function step(times, rate) {
  const found = times && times.length > 1 ? (times.at(-1) - times[0]) / (times.length - 1) : 0;
  if (found > 0 && Number.isFinite(found)) return found;
  return rate > 0 ? 1 / rate : 1 / 30;
}

/** A clip of a motion: what the time bar plays. `rest` gives all that the motion does not. */
export function motionClip(name, motion, header, rest) {
  const setters = motion.names.map((column) => setter(column, header));
  return {
    name,
    length: motion.rows.length,
    seconds: motion.seconds,
    label: () => name,
    pose(step_) {
      const pose = { ...structuredClone(rest), head: [0, 0, 0] };
      setters.forEach((set, i) => set(pose, motion.rows[step_][i]));
      const neck = product(rotationMatrix(rest.neck_pose), rotationMatrix(pose.head));
      pose.neck_pose = axisAngle(neck);
      return pose;
    },
  };
}

/** How a column changes a pose; throws where the rig does not know its name. */
function setter(column, { expressions, actions }) {
  const expression = expressions.indexOf(column);
  if (expression >= 0) return (pose, value) => { pose.expr[expression] = value; };
  if (column in actions && expressions.includes("eyeBlinkLeft")) {
    const [part, component, angle] = actions[column];
    return (pose, value) => { pose[part][component] += angle * value; };
  }
  const turn = HEAD.indexOf(column);
  if (turn >= 0) return (pose, value) => { pose.head[turn] = value; };
  throw new Error(`“${column}” is not an action of this avatar's rig.`);
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
