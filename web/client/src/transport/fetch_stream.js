// A stream by `fetch`, for everything that can read the body of an answer while it arrives.
import { SseParser } from '../sse_parser.js';

/**
 * Why a transport has ended.
 * @typedef {object} Ending
 * @property {'refused' | 'network' | 'ended' | 'content-type' | 'unsupported' | 'unreadable'} reason
 * @property {Response} [response] the refusal
 */

/**
 * What a transport calls.
 * @typedef {object} TransportHandlers
 * @property {() => void} opened the head of the answer has arrived
 * @property {() => void} alive bytes have arrived
 * @property {(messages: import('../sse_parser.js').Message[]) => void} messages
 * @property {(ms: number) => void} retry
 * @property {(ending: Ending) => void} ended at most once, and never after the transport was closed
 */

/**
 * @typedef {object} TransportRequest
 * @property {(path: string, query: Record<string, unknown>) => string} addressOf
 * @property {string} path
 * @property {Record<string, string | undefined>} query
 * @property {string | null} token
 * @property {string | null} cursor
 */

/** @typedef {(env: import('../environment.js').Environment, request: TransportRequest, on: TransportHandlers) => () => void} Transport */

/** Silence is noticed after 20 seconds. */
const HEARTBEAT_SECONDS = 15;
const STREAM_TYPE = /^text\/event-stream *(;|$)/i;

/** @type {Transport} */
export function openFetchStream(env, { addressOf, path, query, token, cursor }, on) {
  const abort = new AbortController();
  let isOpen = true;
  /** @param {Ending} ending */
  const end = (ending) => {
    if (!isOpen) return;
    isOpen = false;
    // What a refusal says is still to be read.
    if (!ending.response) abort.abort();
    on.ended(ending);
  };

  async function run() {
    // The cursor is a parameter: as a header it would need a permission (CORS) from the first reconnect on.
    const response = await env.fetch(addressOf(path, { ...query, heartbeat: HEARTBEAT_SECONDS, since: cursor ?? undefined }), {
      headers: { Accept: 'text/event-stream', ...(token && { Authorization: `Bearer ${token}` }) },
      cache: 'no-store',
      signal: abort.signal,
    });
    if (!isOpen) return;
    if (response.status !== 200) return end({ reason: 'refused', response });
    if (!STREAM_TYPE.test(response.headers.get('Content-Type') ?? '')) return end({ reason: 'content-type' });
    if (!response.body?.getReader) return end({ reason: 'unsupported' });
    on.opened();
    await read(response.body.getReader());
    end({ reason: 'ended' });
  }

  /** @param {ReadableStreamDefaultReader<Uint8Array>} reader */
  async function read(reader) {
    const parser = new SseParser(on.retry);
    // It also takes away the byte order mark, which is no part of the text.
    const decoder = new TextDecoder();
    while (isOpen) {
      const { done, value } = await reader.read();
      if (done || !isOpen) return;
      on.alive();
      let messages;
      try {
        messages = parser.push(decoder.decode(value, { stream: true }));
      } catch {
        return end({ reason: 'unreadable' });
      }
      if (messages.length) on.messages(messages);
    }
  }

  run().catch(() => end({ reason: 'network' }));
  return () => {
    isOpen = false;
    abort.abort();
  };
}
