// When the page tells that a connection may be possible again, or is not.

/**
 * @param {import('./environment.js').Environment} env
 * @param {(why: string) => void} wake
 * @param {() => void} wentOffline
 * @returns {(() => void)[]} each ends one of the listeners
 */
export const listenToPage = (env, wake, wentOffline) => [
  env.listen('online', () => wake('online')),
  env.listen('offline', wentOffline),
  env.listen('pageshow', () => wake('pageshow')),
  env.listen('resume', () => wake('resume')),
  env.listen('visibilitychange', () => env.isVisible() && wake('visible')),
];
