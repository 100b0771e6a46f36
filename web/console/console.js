// Starts a view: the session, one client for the whole page, the header, and then the view's own script.
import { Client } from '../client/src/client.js';
import { createEnvironment } from '../client/src/environment.js';
import { h } from './elements/dom.js';
import { button, empty } from './elements/elements.js';
import { openSession } from './shell/session.js';
import { signIn } from './shell/sign_in.js';
import { Shell } from './shell/shell.js';

const main = document.getElementById('main');
const { view, script } = document.documentElement.dataset;

for (const link of document.querySelectorAll('.views a')) {
  if (link.dataset.view === view) link.setAttribute('aria-current', 'page');
}

/** A script of the view that fails to load or to start says so, with what to do next. */
function failed(error) {
  console.error(error);
  main.replaceChildren(empty('This page could not be loaded', 'The service may have been updated, or cannot be reached.', button('Load again', () => location.reload(), { kind: 'primary' })));
}

async function start() {
  const loading = import(script);
  loading.catch(() => {});
  const session = openSession() ?? await signIn(main);
  // The claims may be absent where the provider's token is not a JWT: the service knows the user then.
  // What `connect` does: importing it would load the parts of the client that the first sight does not need.
  const client = new Client(createEnvironment(), { token: session.token, userId: session.userId });
  client.open();
  const shell = new Shell({ client, session, main });
  shell.start();
  const { start: startView } = await loading;
  main.replaceChildren(h('h1.hidden', {}, document.title.split(' · ')[0]));
  await startView(shell);
  document.body.dataset.state = 'ready';
}

start().catch(failed);
addEventListener('hashchange', () => location.hash.startsWith('#token=') && location.reload());
