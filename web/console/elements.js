// Parts of the page. Everything from outside becomes text, never HTML.

export const find = (id) => document.getElementById(id);

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

export function button(text, onClick, className = 'quiet') {
  const made = element('button', className, text);
  made.type = 'button';
  made.addEventListener('click', onClick);
  return made;
}

/** Shows the outcome of an action; without a text, it is cleared. */
export function say(id, text = '', isGood = true) {
  find(id).className = `outcome ${isGood ? 'good' : 'bad'}`;
  find(id).textContent = text;
}

export const timeOf = (date) => date.toLocaleTimeString([], { hour12: false });

export function timeElement(date) {
  const made = element('time', '', timeOf(date));
  made.dateTime = date.toISOString();
  return made;
}

/** `listPrice` as people write it: list price. */
export const wordsOf = (name) => name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replaceAll('_', ' ').toLowerCase();

/** Calls `draw` at most once a frame, so that a burst costs one layout. */
export function onceAFrame(draw) {
  let isComing = false;
  return () => {
    if (!isComing) requestAnimationFrame(() => { isComing = false; draw(); });
    isComing = true;
  };
}
