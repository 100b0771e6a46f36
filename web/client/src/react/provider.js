// The client of a tree of components.
import { createContext, createElement, useContext, useEffect, useRef, useState } from 'react';
import { Client } from '../client.js';
import { createEnvironment } from '../environment.js';
import { identityOf } from '../identity.js';
import { claimsOf } from '../token.js';

/** @typedef {import('../client.js').ClientOptions} ClientOptions */
/** @typedef {{client: Client, users: number, isClosed: boolean}} Owned */

const Context = createContext(/** @type {Client | null} */ (null));

/**
 * Gives the components below it a client: your own with `client={connect(…)}`, or one of its own with the options of `connect`, which is
 * connected while the provider is mounted. Another `url`, user, brokerage or filter makes another client; `token` may change at any time.
 * @param {{client?: Client, children?: import('react').ReactNode} & ClientOptions} props
 * @returns {import('react').ReactElement}
 */
export function PorchlightProvider({ client, children, ...options }) {
  if (client) return createElement(Context.Provider, { value: client }, children);
  const { url, userId, stream, types, records, token } = options;
  const { userId: user, brokerId } = identityOf(typeof token === 'string' ? claimsOf(token) : {});
  return createElement(OwnClient, { key: JSON.stringify([url, userId ?? user, brokerId, stream, types, records]), options, children });
}

/** The client of the nearest provider. @returns {Client} */
export function useClient() {
  const client = useContext(Context);
  if (!client) throw new Error('there is no <PorchlightProvider> around this component');
  return client;
}

/**
 * @param {{options: ClientOptions, children?: import('react').ReactNode}} props
 */
function OwnClient({ options, children }) {
  const { token } = options;
  const latest = useRef(token);
  const [owned, setOwned] = useState(() => create(options, latest));
  useEffect(() => {
    const before = latest.current;
    if (before === token) return;
    latest.current = token;
    // A token that was given, and the first callback, are used at once. Of later ones, the newest is asked when a token is needed.
    if (typeof token === 'string') owned.client.setToken(token);
    else if (token && typeof before !== 'function') owned.client.setToken(ask(latest));
  }, [token, owned]);
  useEffect(() => {
    // Effects may run again after they were cleaned up: React hides and shows components.
    if (owned.isClosed) return setOwned(create(options, latest));
    owned.users += 1;
    owned.client.open();
    return () => {
      owned.users -= 1;
      // StrictMode cleans up and mounts again at once.
      queueMicrotask(() => closeUnused(owned));
    };
    // The options are those of the first rendering; others come with another key.
  }, [owned]);
  return createElement(Context.Provider, { value: owned.client }, children);
}

/** @param {Owned} owned */
function closeUnused(owned) {
  if (owned.users > 0 || owned.isClosed) return;
  owned.isClosed = true;
  owned.client.close();
}

/**
 * A client that does nothing until it is opened, because React may throw a first rendering away.
 * @param {ClientOptions} options
 * @param {{current: ClientOptions['token']}} latest
 * @returns {Owned}
 */
function create({ environment = createEnvironment(), ...options }, latest) {
  const token = typeof latest.current === 'function' ? ask(latest) : latest.current;
  return { client: new Client(environment, { ...options, token }), users: 0, isClosed: false };
}

/**
 * @param {{current: ClientOptions['token']}} latest
 * @returns {import('../token.js').TokenCallback}
 */
const ask = (latest) => (why) => (typeof latest.current === 'function' ? latest.current(why) : latest.current);
