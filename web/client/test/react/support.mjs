// Components in a document, with a client of the fake service.
import assert from 'node:assert/strict';
import { describe as group, test as single } from 'node:test';
import { act, createElement, StrictMode, version } from 'react';
import { createRoot } from 'react-dom/client';
import { PorchlightProvider } from '../../src/react/index.js';
import { fakeEnvironment, settle } from '../../src/testing/index.js';
import { fill, world } from '../support.mjs';

export { createElement as h };

/** A group of tests of this version of React. */
export const describe = (name, run) => group(`React ${version}: ${name}`, run);

const roots = [];
const complaints = [];

/** A test, at whose end everything is unmounted and React has complained about nothing. */
export function test(name, ...more) {
  const run = more.pop();
  single(name, ...more, async () => {
    const { error } = console;
    console.error = (...said) => complaints.push(said.map(String).join(' '));
    try {
      await run();
      assert.deepEqual(complaints, []);
    } finally {
      await act(async () => roots.splice(0).forEach((root) => root.unmount()));
      complaints.length = 0;
      console.error = error;
    }
  });
}

/** What was written on the console as an error, and is expected. */
export const takeComplaints = () => complaints.splice(0);

/** Renders an element; `strict` as React does it in development. */
export async function render(element, { strict = true } = {}) {
  const container = document.createElement('div');
  document.body.append(container);
  const root = createRoot(container);
  roots.push(root);
  const show = (next) => act(async () => root.render(strict ? createElement(StrictMode, null, next) : next));
  await show(element);
  return {
    container,
    show,
    get text() {
      return container.textContent;
    },
    find: (selector) => container.querySelector(selector),
    click: (selector) => act(async () => container.querySelector(selector).click()),
    unmount: () => act(async () => roots.splice(roots.indexOf(root), 1)[0].unmount()),
  };
}

/** A service with escrows, and a client that is connected. */
export async function crm(count = 3, options = {}) {
  const made = world();
  await fill(made, count);
  const { client, page } = await made.open(options);
  const inProvider = (...children) => createElement(PorchlightProvider, { client }, ...children);
  return { ...made, client, page, inProvider, advance: (ms) => act(() => made.clock.advance(ms)) };
}

/** The properties of a provider that makes its own client. `timers` has those that the client has set. */
export function ownCrm(service, clock, more = {}) {
  const timers = new Set();
  const page = fakeEnvironment({
    clock, random: () => 0.5, fetch: service.fetch,
    setTimeout(run, ms) {
      const id = clock.setTimeout(() => timers.delete(id) && run(), ms);
      timers.add(id);
      return id;
    },
    clearTimeout(id) {
      timers.delete(id);
      clock.clearTimeout(id);
    },
  });
  return { page, timers, props: { url: service.url, token: () => service.token(), environment: page.environment, ...more } };
}

export { act, settle };
