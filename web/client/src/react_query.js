'use client';

// porchlight/react-query: the stream patches the cache of TanStack Query, one record at a time, without a refetch.
import { useEffect, useRef } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { QueryFollower } from './react_query/follower.js';
import { useClient } from './react/provider.js';

/** @typedef {import('./react_query/follower.js').FollowOptions} FollowOptions */

/**
 * Keeps the queries of a cache right: `[module]`, `[module, filter]` and `[module, id]`, whose data are records as `GET /records` has them.
 * @param {import('./client.js').Client} client
 * @param {import('@tanstack/react-query').QueryClient} queryClient
 * @param {FollowOptions} [options]
 * @returns {() => void} ends it
 */
export function followQueries(client, queryClient, options) {
  const follower = new QueryFollower(client, queryClient, options);
  follower.start();
  return () => follower.stop();
}

/**
 * `followQueries` while the component is mounted, between a `QueryClientProvider` and a `PorchlightProvider`.
 * @param {FollowOptions} [options] those of the first rendering
 */
export function useLiveQueries(options) {
  const client = useClient();
  const queryClient = useQueryClient();
  const first = useRef(options);
  useEffect(() => followQueries(client, queryClient, first.current), [client, queryClient]);
}
