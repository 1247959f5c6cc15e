// The sliders, in groups: one for each expression, and for jaw, neck and eyes.

const DEGREE = Math.PI / 180;
const GROUPS = { brow: "Brows", eye: "Eyelids", cheek: "Cheeks", jaw: "Jaw", mouth: "Mouth",
  nose: "Nose and tongue", tongue: "Nose and tongue" };
const PRINCIPAL_RANGE = 3; // deviations

/** What each slider shows and changes: {group, label, min, max, step, get, set}. */
function controls(header) {
  return [
    angle("Head", "up and down", 40, "neck_pose", [0]),
    angle("Head", "left and right", 60, "neck_pose", [1]),
    angle("Head", "tilt", 40, "neck_pose", [2]),
    angle("Gaze", "up and down", 20, "eyes_pose", [0, 3]),
    angle("Gaze", "left and right", 30, "eyes_pose", [1, 4]),
    { ...angle("Jaw", "open", 30, "jaw_pose", [0]), min: -2 },
    angle("Jaw", "sideways", 8, "jaw_pose", [1]),
    ...header.expressions.map((name, index) => expression(name, index, header.principal)),
  ];
}

function angle(group, label, most, part, components) {
  return {
    group, label: `${group} ${label}`, min: -most, max: most, step: 0.5,
    get: (pose) => pose[part][components[0]] / DEGREE,
    set: (pose, value) => { for (const c of components) pose[part][c] = value * DEGREE; },
  };
}

function expression(name, index, principal) {
  const prefix = Object.keys(GROUPS).find((start) => name.startsWith(start));
  const words = name.replace(/([A-Z])/g, " $1").replaceAll("_", " ").toLowerCase();
  return {
    group: GROUPS[prefix] ?? "Expressions",
    label: words.charAt(0).toUpperCase() + words.slice(1),
    min: principal ? -PRINCIPAL_RANGE : 0, max: principal ? PRINCIPAL_RANGE : 1, step: 0.01,
    get: (pose) => pose.expr[index],
    set: (pose, value) => { pose.expr[index] = value; },
  };
}

export class Panel {
  /** `changed(set, value)` is called when the user moves a slider. */
  constructor(container, header, changed) {
    this.groups = new Map();
    this.rows = controls(header).map((control, i) => {
      const group = this.group(container, control.group);
      const row = sliderRow(control, `slider-${i}`);
      row.input.addEventListener("input", () => {
        row.output.textContent = row.input.value;
        changed(control.set, Number(row.input.value));
      });
      group.append(row.element);
      return { ...row, control, group };
    });
  }

  group(container, name) {
    if (!this.groups.has(name)) {
      const details = document.createElement("details");
      const summary = document.createElement("summary");
      summary.textContent = name;
      details.append(summary);
      details.open = this.groups.size < 3;
      details.addEventListener("toggle", () => this.pose && this.show(this.pose));
      container.append(details);
      this.groups.set(name, details);
    }
    return this.groups.get(name);
  }

  /** Set the sliders that can be seen to a pose. */
  show(pose) {
    this.pose = pose;
    for (const { control, input, output, group } of this.rows) {
      if (!group.open || input === document.activeElement && input.matches(":active")) continue;
      const digits = control.step < 0.1 ? 2 : 1;
      input.value = control.get(pose);
      output.textContent = control.get(pose).toFixed(digits);
    }
  }
}

function sliderRow({ label, min, max, step }, id) {
  const element = document.createElement("div");
  element.className = "row";
  const name = document.createElement("label");
  name.htmlFor = id;
  name.textContent = label;
  const input = document.createElement("input");
  Object.assign(input, { type: "range", id, min, max, step });
  const output = document.createElement("output");
  output.htmlFor.add(id);
  element.append(name, input, output);
  return { element, input, output };
}
