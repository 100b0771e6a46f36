// Desktop notifications and a soft sound. Both are off until the user switches them on.

const KEY = 'porchlight:attention:';
const NOTE_HZ = 660;

export const isOn = (name) => localStorage.getItem(KEY + name) === 'on' && (name !== 'desktop' || globalThis.Notification?.permission === 'granted');

/** Returns what it is now: the browser may refuse notifications. */
export async function setOn(name, isWanted) {
  if (isWanted && name === 'desktop' && (await globalThis.Notification?.requestPermission()) !== 'granted') return false;
  localStorage.setItem(KEY + name, isWanted ? 'on' : 'off');
  if (isWanted && name === 'sound') chime();
  return isWanted;
}

export function notify(title, body = '') {
  if (isOn('sound')) chime();
  if (isOn('desktop') && document.hidden) new Notification(title, { body, tag: title });
}

function chime() {
  const audio = new AudioContext();
  const [tone, volume] = [audio.createOscillator(), audio.createGain()];
  tone.frequency.value = NOTE_HZ;
  volume.gain.setValueAtTime(0.06, audio.currentTime);
  volume.gain.exponentialRampToValueAtTime(0.0001, audio.currentTime + 0.5);
  tone.connect(volume).connect(audio.destination);
  tone.start();
  tone.stop(audio.currentTime + 0.5);
  tone.onended = () => audio.close();
}
