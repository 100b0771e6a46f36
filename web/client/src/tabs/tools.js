// What the sharing of streams uses of the rest. It is passed in: bundlers cut a page's code where it and what is loaded later import the same files.
import { isCovered, isPosition } from '../position.js';
import { addressOf } from '../request.js';
import { claimsOf, endOf, userClaimsOf } from '../token.js';
import { loadTransport } from '../transport/choice.js';

export const tools = { addressOf, claimsOf, endOf, isCovered, isPosition, loadTransport, userClaimsOf };

/** @typedef {typeof tools} Tools */
