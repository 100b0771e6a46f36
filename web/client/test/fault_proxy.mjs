// A TCP proxy in front of the real service that breaks connections at random places.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { seeded } from '../src/testing/index.js';

const KINDS = ['cut', 'reset', 'silence', 'half', '502'];

export class FaultProxy {
  #server;
  #target;
  #random;
  #sockets = new Set();
  /** While greater than 0, faults are made. */
  left = 0;
  made = 0;
  #longSilences;

  /**
   * @param {string} target
   * @param {number} [seed]
   * @param {number} [longSilences] so many times nobody is told that the line is dead
   */
  constructor(target, seed = 1, longSilences = 0) {
    this.#target = new URL(target);
    this.#random = seeded(seed);
    this.#longSilences = longSilences;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  async listen() {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${this.#server.address().port}`;
  }

  close() {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #chance(part) {
    return this.left > 0 && this.#random() < part;
  }

  #take() {
    this.left -= 1;
    this.made += 1;
    return KINDS[Math.floor(this.#random() * KINDS.length)];
  }

  #accept(socket) {
    const upstream = connect(Number(this.#target.port), this.#target.hostname);
    const both = [socket, upstream];
    for (const one of both) {
      this.#sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        this.#sockets.delete(one);
        for (const other of both) other.destroy();
      });
    }
    let isSilent = false;
    socket.on('data', (bytes) => {
      if (isSilent) return;
      if (this.#chance(0.3)) {
        const kind = this.#take();
        if (kind === '502') {
          socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>');
          return void upstream.destroy();
        }
        if (kind === 'cut') return void socket.destroy();
        if (kind === 'reset') return void socket.resetAndDestroy();
        // The request arrives, and its answer does not.
        upstream.write(bytes);
        isSilent = kind === 'silence';
        if (kind === 'half') setTimeout(() => socket.destroy(), 20);
        else if (this.#longSilences > 0) this.#longSilences -= 1;
        else setTimeout(() => socket.destroy(), 1_500);
        return;
      }
      upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      if (isSilent) return;
      if (this.#chance(0.12)) {
        this.#take();
        const part = bytes.subarray(0, Math.floor(this.#random() * bytes.length));
        socket.write(part, () => socket.resetAndDestroy());
        return;
      }
      socket.write(bytes);
    });
  }
}
