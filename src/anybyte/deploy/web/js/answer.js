// What the model says: the label, and the scores as bars.

import { find, text } from "./dom.js";

/** @param {{label, score, unknown, top: {label, score}[]}} answer */
export function showAnswer(answer) {
  const best = answer.top[0];
  find("label").textContent = answer.unknown ? `unknown (nearest: ${best.label})` : best.label;
  find("scores").replaceChildren(
    ...answer.top.map(({ label, score }) => {
      const item = document.createElement("li"),
        bar = document.createElement("div"),
        fill = document.createElement("span");
      bar.className = "bar";
      bar.setAttribute("aria-hidden", "true"); // the number says the same
      bar.append(fill);
      fill.style.width = `${100 * score}%`;
      item.append(text("span", "name", label), bar, text("span", "value", percent(score)));
      return item;
    }),
  );
  find("answer").hidden = false;
}

export function hideAnswer() {
  find("answer").hidden = true;
}

/** One line for those who hear the page. */
export function describe(name, answer) {
  const word = answer.unknown ? "unknown" : answer.label;
  return `${name}: ${word}, ${percent(answer.top[0].score)}`;
}

export function percent(score) {
  return `${(100 * score).toFixed(1)} %`;
}
