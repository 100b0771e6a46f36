// What all views share: the client, the user, names, the header with badge, people and bell, bars, keys.
import { presence } from '../../client/src/collaboration.js';
import { h } from '../elements/dom.js';
import { avatar, button } from '../elements/elements.js';
import { menu } from '../elements/popover.js';
import { toast } from '../elements/toast.js';
import { Badge } from './badge.js';
import { Bars } from './bars.js';
import { Keys } from './keys.js';
import { People } from './people.js';
import { forget } from './session.js';
import { showOnline } from './online.js';

export class Shell {
  /** @param {{client: import('../../client/src/client.js').Client, session: import('./session.js').Session, main: HTMLElement}} given */
  constructor({ client, session, main }) {
    this.client = client;
    this.session = session;
    /** Where the view is. */
    this.main = main;
    this.people = new People(client);
    this.presence = presence(client);
    this.bars = new Bars(document.getElementById('bars'));
    this.keys = new Keys();
    this.toast = toast;
    if (session.userId && session.name !== session.userId) this.people.learn(session.userId, session.name);
  }

  get userId() {
    return this.session.userId;
  }

  get isAdmin() {
    return this.session.role === 'admin';
  }

  /** Whether the client is connected at the moment. */
  get isConnected() {
    return this.client.connection.getSnapshot().state === 'connected';
  }

  /** The name of a user, "You" for the own one. */
  nameOf(id) {
    return this.people.nameOf(id);
  }

  start() {
    const end = document.getElementById('top-end');
    const badge = new Badge(this);
    const online = h('div.people-online');
    const bell = h('div.bell-place');
    end.replaceChildren(badge.element, online, bell, this.#ownMenu());
    showOnline(this, online);
    this.presence.show({});
    this.#watchConnection();
    this.keys.add('?', 'Show the keys', () => this.keys.show());
  }

  /** What the first sight does not need. */
  async loadTheRest() {
    this.#loadMe();
    const [{ showBell }, { followNotices }] = await Promise.all([import('./bell.js'), import('./notices.js')]);
    showBell(this, document.querySelector('.bell-place'));
    followNotices(this);
  }

  /** The service knows more than the token shows: the name, and the teams that still count. */
  async #loadMe() {
    const { body } = await this.client.request('GET', '/session').catch(() => ({}));
    if (!body) return;
    Object.assign(this.session, { userId: body.userId, role: body.role, teams: body.teams, name: body.name ?? this.session.name });
    this.people.learn(body.userId, body.name);
  }

  #ownMenu() {
    const { session } = this;
    const name = () => this.nameOf(session.userId ?? '');
    const open = h('button.button.quiet.me', { type: 'button' });
    const draw = () => open.replaceChildren(h('span', { 'aria-hidden': 'true' }, avatar(session.userId ?? '?', name())), h('span.hidden', {}, `You are ${name()}`));
    this.people.store.subscribe(draw);
    draw();
    return menu(open, () => [
      ...(session.isDemo ? [{ label: 'Open a window as somebody else', run: () => this.#openAnother() }, null] : []),
      { label: 'Keys', run: () => this.keys.show() },
      { label: 'Sign out', run: () => this.signOut() },
    ], 'You');
  }

  async #openAnother() {
    const { openDialog } = await import('../elements/dialog.js');
    const { people } = await (await fetch('/demo')).json();
    const others = people.filter(({ userId }) => userId !== this.userId);
    const links = others.map(({ userId, name, role }) => h('a.person', { href: `/?as=${encodeURIComponent(userId)}`, target: '_blank', rel: 'noopener' },
      avatar(userId, name), h('strong', {}, name), h('span.quiet-text', {}, role === 'admin' ? 'Administrator' : 'Agent')));
    openDialog({ title: 'A second window', body: h('div.sign-in.people', {}, links), isNarrow: true });
  }

  async signOut() {
    forget();
    this.presence.leave();
    await this.client.close();
    location.assign(location.pathname);
  }

  #watchConnection() {
    // What is shown stays, and the user signs in again.
    this.#barWhile(({ state }) => state === 'needs-auth', 'Your session has ended. What you have written is kept, and is sent when you have signed in again.',
      button('Sign in again', () => { forget(); location.reload(); }, { kind: 'primary small' }));
    // Until then the badge is enough.
    this.#barWhile(({ isDisconnectedLong }) => isDisconnectedLong, 'There has been no connection for five minutes. Your changes are kept and sent later; you do not see those of others. Check your network.',
      button('Retry', () => this.client.retry(), { kind: 'small' }));
  }

  #barWhile(isNeeded, text, act) {
    let remove = null;
    this.client.connection.subscribe(() => {
      const isShown = isNeeded(this.client.connection.getSnapshot());
      if (isShown && !remove) remove = this.bars.show(text, { kind: 'bad', acts: [act] });
      else if (!isShown) {
        remove?.();
        remove = null;
      }
    });
  }
}
