// Bars under the header: what concerns the whole page.
import { banner, iconButton } from '../elements/elements.js';

export class Bars {
  #place;

  constructor(place) {
    this.#place = place;
  }

  /** Shows a bar; returns a function that removes it. With `onClose`, the user can close it. */
  show(text, { kind = '', acts = [], onClose } = {}) {
    const remove = () => bar.remove();
    const close = onClose ? [iconButton('close', 'Close', () => { remove(); onClose(); })] : [];
    const bar = banner(text, [...acts, ...close], { kind, role: kind === 'bad' ? 'alert' : 'status' });
    this.#place.append(bar);
    return remove;
  }
}
