// Colours that people with any colour vision tell apart: Okabe and Ito's set for kinds, blue to orange for signs,
// cividis for rates. Each comes with a sign or a number, so that none has to be told by colour alone.

export const KINDS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#F0E442"];
export const OTHERS = "#B5B5B5";
export const VERDICTS = {
  passed: "#0072B2", wrong_answer: "#E69F00", runtime_error: "#D55E00", compile_error: "#CC79A7", timeout: "#56B4E9",
  out_of_memory: "#F0E442", output_limit: "#009E73", forbidden: "#8C5A33", sandbox_error: "#7F7F7F", unsupported: "#B5B5B5",
};
export const GROUPS = { failing: "#D55E00", mixed: "#009E73", passing: "#0072B2" };
export const GROUP_WORDS = { failing: "all fail", mixed: "mixed", passing: "all pass" };
const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [200, 184, 102], [254, 232, 56]];

export const dark = () => {
  const set = document.documentElement.dataset.theme;
  return set ? set === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

// Background and text colour for a rate in [0, 1].
export function rateColours(rate) {
  const place = Math.min(Math.max(rate, 0), 1) * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  const mixed = CIVIDIS[low].map((c, i) => Math.round(c + (place - low) * (CIVIDIS[low + 1][i] - c)));
  return { background: `rgb(${mixed})`, color: rate > 0.55 ? "#000" : "#fff" };
}

// Background for a signed value: blue above 0, orange below, none at 0. `size` is what counts as full.
export function signColour(value, size) {
  if (value === null || value === undefined || !size) return "transparent";
  const strength = Math.min(Math.abs(value) / size, 1);
  return value >= 0 ? `rgba(0, 114, 178, ${0.75 * strength})` : `rgba(213, 94, 0, ${0.75 * strength})`;
}
