// When the page tells that a connection may be possible again, or is not.

/**
 * @param {import('./environment.js').Environment} env
 * @param {(why: string) => void} wake
 * @param {() => void} wentOffline
 * @returns {(() => void)[]} each ends one of the listeners
 */
export const listenToPage = (env, wake, wentOffline) => [
  ...['online', 'pageshow', 'resume'].map((type) => env.listen(type, () => wake(type))),
  env.listen('offline', wentOffline),
  env.listen('visibilitychange', () => env.isVisible() && wake('visible')),
];
