// Desktop notifications and a soft sound. Both are off until the user switches them on.
import { ofBrowser } from './storage.js';

const KEY = 'porchlight:attention:';
const NOTE_HZ = 660;
const SOUND_MS = 500;

export const isOn = (name) => ofBrowser.get(KEY + name) === 'on' && (name !== 'desktop' || globalThis.Notification?.permission === 'granted');

/** Returns what it is now: the browser may refuse notifications. */
export async function setOn(name, isWanted) {
  if (isWanted && name === 'desktop' && (await globalThis.Notification?.requestPermission()) !== 'granted') return false;
  ofBrowser.set(KEY + name, isWanted ? 'on' : 'off');
  if (isWanted && name === 'sound') chime();
  return isWanted;
}

/** `id` is the same in all tabs: together they show one and sound once. A click on it calls `onClick` in the tab that has shown it last. */
export function notify({ id, title, body = '', onClick }) {
  if (isOn('sound')) inOneTab(`porchlight:sound:${id}`, chime);
  if (!isOn('desktop') || !document.hidden) return;
  const shown = new Notification(title, { body, tag: `porchlight:${id}` });
  shown.onclick = () => {
    focus();
    shown.close();
    onClick();
  };
}

function inOneTab(name, run) {
  if (!navigator.locks) return void run();
  navigator.locks.request(name, { ifAvailable: true }, (lock) => lock && run()).catch(() => {});
}

/** Resolves when it is over. */
function chime() {
  const audio = new AudioContext();
  const [tone, volume] = [audio.createOscillator(), audio.createGain()];
  tone.frequency.value = NOTE_HZ;
  volume.gain.setValueAtTime(0.06, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.0001, audio.currentTime + SOUND_MS / 1_000);
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + SOUND_MS / 1_000);
  tone.onended = () => audio.close();
  return new Promise((over) => setTimeout(over, SOUND_MS));
}
