// What several modules do with the page's elements.

export function find(id) {
  return document.getElementById(id);
}

export function text(name, kind, words) {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  made.textContent = words;
  return made;
}

/** Fills a <select>. @param {[string, string][]} choices values and what they are called */
export function fill(select, choices) {
  select.replaceChildren(
    ...choices.map(([value, words]) => Object.assign(document.createElement("option"), { value, textContent: words })),
  );
}
