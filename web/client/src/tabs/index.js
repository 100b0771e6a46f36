// One stream for all tabs of a user, loaded when a page connects.
export { shareKey } from './share_key.js';
export { canShare, SharedStream } from './shared_stream.js';
