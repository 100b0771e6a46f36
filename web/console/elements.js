// Parts of the page. Everything that comes from outside becomes text, never HTML.

export const find = (id) => document.getElementById(id);

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export const timeOf = (date) => date.toLocaleTimeString([], { hour12: false });

export function timeElement(date) {
  const made = element('time', '', timeOf(date));
  made.dateTime = date.toISOString();
  return made;
}
