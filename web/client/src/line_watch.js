// Notices that nothing comes: no answer, no first byte, or silence on an open stream.

/** From the request to the first byte. */
const ANSWER_MS = 10_000;
/** From the head of the answer to the first byte: a proxy that takes longer holds the stream back. */
const FIRST_BYTE_MS = 4_000;
const SILENCE_MS = 20_000;
/** Slow heartbeats get this many of their intervals. */
const SLOW_HEARTBEATS = 2.5;
const HEARTBEAT_SECONDS_USUAL = 15;

export class LineWatch {
  #env;
  #timers;
  #transports;
  #fail;
  #silenceMs = SILENCE_MS;
  #aliveAt = -Infinity;
  #lateAnswers = 0;

  /**
   * @param {import('./environment.js').Environment} env
   * @param {import('./timers.js').Timers} timers `answer` and `silence` are its timers
   * @param {import('./transport/choice.js').TransportChoice} transports
   * @param {(reason: string) => void} fail
   */
  constructor(env, timers, transports, fail) {
    this.#env = env;
    this.#timers = timers;
    this.#transports = transports;
    this.#fail = fail;
  }

  /** Whether the last byte came too long ago. */
  get isSilent() {
    return this.#env.now() - this.#aliveAt > this.#silenceMs;
  }

  /** A request was sent. */
  begin() {
    this.#aliveAt = -Infinity;
    this.#expectWithin(ANSWER_MS, false);
  }

  /** The head of the answer has arrived. */
  opened() {
    if (this.#aliveAt !== -Infinity) return;
    this.#expectWithin(FIRST_BYTE_MS, true);
  }

  /** Bytes have arrived. */
  alive() {
    const isFirst = this.#aliveAt === -Infinity;
    this.#aliveAt = this.#env.now();
    if (!isFirst) return;
    this.#timers.clear('answer');
    this.#lateAnswers = 0;
    this.#watch();
  }

  /** The service sends heartbeats so often. */
  expect(heartbeatSeconds = HEARTBEAT_SECONDS_USUAL) {
    // Comments are invisible to an EventSource: only every second heartbeat is an event.
    const between = heartbeatSeconds * 1_000 * (this.#transports.name === 'eventsource' ? 2 : 1);
    this.#silenceMs = between * 1.3 < SILENCE_MS ? SILENCE_MS : between * SLOW_HEARTBEATS;
  }

  /** @param {number} ms of a transport that another one can replace @param {boolean} hasHead */
  #expectWithin(ms, hasHead) {
    this.#timers.set('answer', this.#transports.hasOthers ? ms : SILENCE_MS, () => this.#late(hasHead));
  }

  /** One timer for many messages: it looks at the time of the last one. */
  #watch() {
    // Where the clock was set back, silence counts from now on.
    this.#aliveAt = Math.min(this.#aliveAt, this.#env.now());
    const left = this.#aliveAt + this.#silenceMs - this.#env.now();
    if (left <= 0) this.#fail('silence');
    else this.#timers.set('silence', left, () => this.#watch());
  }

  /**
   * Nothing came in time. When the head came and no byte after it, something in between holds the stream back.
   * @param {boolean} hasHead
   */
  #late(hasHead) {
    this.#lateAnswers += 1;
    if (hasHead || this.#lateAnswers > 1) {
      this.#lateAnswers = 0;
      this.#transports.next();
    }
    this.#fail(hasHead ? 'first-byte-late' : 'answer-late');
  }
}
