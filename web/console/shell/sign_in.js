// The page before somebody is signed in: one click in a demo, else a token.
import { h } from '../elements/dom.js';
import { avatar, button, field } from '../elements/elements.js';
import { remember } from './session.js';

/** Shows the choice in `main`. Resolves with the session. */
export async function signIn(main, { note } = {}) {
  const people = await peopleOfDemo();
  return new Promise((signedIn) => {
    const choose = (kept) => signedIn(remember(kept));
    main.replaceChildren(h('div.sign-in', {}, note ? h('p.banner.warn', { role: 'alert' }, note) : null, ...(people.length ? demo(people, choose) : []), tokenForm(choose, people.length > 0)));
    document.body.dataset.state = 'sign-in';
    main.querySelector('.person, .input').focus();
  });
}

async function peopleOfDemo() {
  const response = await fetch('/demo').catch(() => null);
  return response?.ok ? (await response.json()).people : [];
}

function demo(people, choose) {
  return [
    h('div', {},
      h('h1', {}, 'A CRM in which everything is live'),
      h('p', {}, 'Choose who you are. Then open a second window as somebody else: each sees what the other does, as it happens.')),
    h('div.people', {}, people.map(({ userId, name, role, teams }) => h('button.person', { type: 'button', onClick: () => choose({ demo: userId, name, role }) },
      avatar(userId, name), h('strong', {}, name), h('span.quiet-text', {}, describe(role, teams))))),
  ];
}

function describe(role, teams) {
  const of = teams.map((team) => team.replace(/^team-/, 'Team ').replace(/ (.)/, (all, letter) => ` ${letter.toUpperCase()}`));
  return `${role === 'admin' ? 'Administrator' : 'Agent'} · ${of.join(', ')}`;
}

function tokenForm(choose, isSecond) {
  const input = h('input.input', { type: 'password', autocomplete: 'off', spellcheck: false, required: true });
  const form = h('form', {}, field('Token', input, 'Ask your administrator, or run `porchlight token`.'), button('Sign in', null, { kind: isSecond ? '' : 'primary', type: 'submit' }));
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    choose({ token: input.value.trim() });
  });
  return isSecond ? h('details', {}, h('summary', {}, 'Sign in with a token instead'), form) : h('div', {}, h('h1', {}, 'Sign in'), form);
}
