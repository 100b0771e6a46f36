// Starts a view: one client for the whole page, the header, and then the view's own script.
import { Client } from '../client/src/client.js';
import { createEnvironment } from '../client/src/environment.js';
import { h } from './elements/dom.js';
import { button, empty } from './elements/elements.js';
import { signIn } from './shell/sign_in.js';
import { Shell } from './shell/shell.js';

const main = document.getElementById('main');
const { view, script } = document.documentElement.dataset;

for (const link of document.querySelectorAll('.views a')) {
  if (link.dataset.view === view) link.setAttribute('aria-current', 'page');
}

/** @param {import('./shell/session.js').Session | null} opened */
export async function start(opened) {
  try {
    await run(opened ?? await signIn(main), import(script));
  } catch (error) {
    failed(error);
  }
}

/** What the view shows first is asked for first; what the rest of the page needs, when that is shown. */
async function run(session, loading) {
  loading.catch(() => {});
  // The claims may be absent where the provider's token is not a JWT: the service knows the user then.
  // What `connect` does: importing it would load the parts of the client that the first sight does not need.
  const client = new Client(createEnvironment(), { token: session.token, userId: session.owner });
  const shell = new Shell({ client, session, main });
  shell.start();
  const { start: startView } = await loading;
  main.replaceChildren(h('h1.hidden', {}, document.title.split(' · ')[0]));
  const isShown = startView(shell);
  client.open();
  await isShown;
  document.body.dataset.state = 'ready';
  await shell.loadTheRest();
}

/** A script of the view that fails to load or to start says so, with what to do next. */
function failed(error) {
  console.error(error);
  main.replaceChildren(empty('This page could not be loaded', 'The service may have been updated, or cannot be reached.', button('Load again', () => location.reload(), { kind: 'primary' })));
}
