// Makes elements of the document.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * `h('button.button.primary', { type: 'button', onClick: save }, 'Save')`. Properties that are null, undefined or false are left out; others
 * are set as properties of the element where it has them, and else as attributes.
 */
export function h(selector, props = {}, ...children) {
  const [tag, ...classes] = selector.split('.');
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(' ');
  for (const [name, value] of Object.entries(props)) setProp(element, name, value);
  element.append(...children.flat(Infinity).filter(isShown));
  return element;
}

const isShown = (child) => child !== null && child !== undefined && child !== false;

function setProp(element, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith('on')) element.addEventListener(name.slice(2).toLowerCase(), value);
  else if (name === 'dataset') Object.assign(element.dataset, value);
  else if (name in element && !name.includes('-')) element[name] = value;
  else element.setAttribute(name, value === true ? '' : value);
}

/** Sets the text only if it differs, so that screen readers and selections are left alone. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const FOCUSABLE = 'a[href], button:not(:disabled), select, input';

/** Changes what is in `place`. If that takes the focus away, what is there now gets it, or else `other`. */
export function keepFocus(place, change, other) {
  const hadFocus = place.contains(document.activeElement);
  change();
  if (hadFocus && !place.contains(document.activeElement)) (place.querySelector(FOCUSABLE) ?? other)?.focus({ preventScroll: true });
}

const PATHS = {
  bell: 'M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.5a2.2 2.2 0 0 0 4 0',
  search: 'M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14zM16.5 16.5 21 21',
  plus: 'M12 5v14M5 12h14',
  close: 'M6 6l12 12M18 6 6 18',
  back: 'M15 5l-7 7 7 7',
  edit: 'M4 20l1-4L16 5l3 3L8 19zM14 7l3 3',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  upload: 'M12 16V5M7 9.5 12 4.5l5 5M5 19.5h14',
  more: 'M5.5 12h.01M12 12h.01M18.5 12h.01',
  down: 'M6 9.5l6 6 6-6',
  up: 'M6 15l6-6 6 6',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  clock: 'M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16zM12 8v4.5l3 2',
  spark: 'M12 4l1.8 5.2L19 11l-5.2 1.8L12 18l-1.8-5.2L5 11l5.2-1.8z',
};

/** A picture beside a text: screen readers pass over it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon-shape');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', PATHS[name]);
  svg.append(path);
  return svg;
}

const FRAME_MS = 16;

/** Calls `run` soon, and not more than once a frame however often it is asked for; in a hidden page, seldom. */
export function onceAFrame(run) {
  let isAsked = false;
  let ranAt = -Infinity;
  return () => {
    if (isAsked) return;
    isAsked = true;
    const done = () => {
      isAsked = false;
      // What it asks for itself waits for the next frame.
      ranAt = Infinity;
      run();
      ranAt = performance.now();
    };
    if (document.hidden) setTimeout(done, 50);
    // After a pause it need not wait for the frame: what is drawn now is in it.
    else if (performance.now() - ranAt > FRAME_MS) queueMicrotask(done);
    else requestAnimationFrame(done);
  };
}
