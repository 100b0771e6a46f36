// Sends requests: the form, the same request as curl and as JavaScript, and the answer.
import { h, setText } from '../elements/dom.js';
import { button, field, select } from '../elements/elements.js';
import { asDuration } from '../elements/units.js';
import { asCurl, asJavaScript } from './as_code.js';
import { codeBlock } from './code_dialog.js';
import { jsonElement } from './json.js';
import { requestsOf } from './requests.js';

/** The panel, with the modules of this service. */
export async function openSendPanel(shell) {
  const session = await shell.client.request('GET', '/session').catch(() => null);
  return new SendPanel(shell, session?.body.modules ?? []);
}

class SendPanel {
  #shell;
  #forms;
  #place = h('div');

  constructor(shell, modules) {
    this.#shell = shell;
    const known = { team: shell.session.teams[0] ?? '', session: shell.client.session, modules };
    this.#forms = new Map(requestsOf(known).map((request) => [request.name, { request, made: null }]));
    const choice = select([...this.#forms.values()].map(({ request: { name, label } }) => ({ value: name, label })), { onChange: () => this.#open(choice.value) });
    this.element = h('div.send-panel', {}, h('h2', {}, 'Send'), field('Request', choice), this.#place);
    this.#open(choice.value);
  }

  #open(name) {
    const one = this.#forms.get(name);
    one.made ??= new RequestForm(this.#shell, one.request);
    this.#place.replaceChildren(one.made.element);
  }
}

class RequestForm {
  #shell;
  #request;
  #inputs = {};
  #curl;
  #javaScript;
  #error = h('p.field-error', { role: 'alert' });
  #answer = h('div.answer', { 'aria-live': 'polite' });
  /** A token of another role, for this request only. */
  #token = null;

  constructor(shell, request) {
    this.#shell = shell;
    this.#request = request;
    this.#curl = codeBlock(shell, 'curl', '');
    this.#javaScript = codeBlock(shell, 'JavaScript', '');
    const form = h('form.request-form', { noValidate: true }, request.fields.map((one) => this.#field(one)), this.#tokenField(), this.#error, button('Send', null, { kind: 'primary', type: 'submit' }));
    form.addEventListener('input', () => this.#show());
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send();
    });
    this.element = h('div', {}, form, this.#answer, this.#curl.element, this.#javaScript.element);
    this.#show();
  }

  #field([name, label, value, { options, isText } = {}]) {
    const choices = options?.length && options.map((one) => (typeof one === 'string' ? { value: one, label: one || 'none' } : { value: one[0], label: one[1] }));
    const props = { value, spellcheck: false, autocomplete: 'off' };
    this.#inputs[name] = choices ? select(choices, { value }) : h(isText ? 'textarea.input.mono' : 'input.input', props);
    return field(label, this.#inputs[name]);
  }

  /** Publishing needs the role of a service, which people do not have. */
  #tokenField() {
    const { needs } = this.#request;
    if (!needs || this.#shell.session.role === needs) return null;
    if (this.#shell.session.isDemo) return h('p.quiet-text.wide', {}, `In the demo it is sent with a token of the role “${needs}”, as the back end of a CRM has one.`);
    this.#token = h('input.input', { type: 'password', autocomplete: 'off', spellcheck: false });
    return field(`Token with the role “${needs}”`, this.#token, `Your own role is “${this.#shell.session.role}”. Make a token with: porchlight token --role ${needs}`);
  }

  #made() {
    const values = Object.fromEntries(Object.entries(this.#inputs).map(([name, { value }]) => [name, value.trim()]));
    for (const [name, , , { isHidden } = {}] of this.#request.fields) this.#inputs[name].parentElement.hidden = Boolean(isHidden?.(values));
    return this.#request.make(values);
  }

  #show() {
    try {
      const request = this.#made();
      const { url } = this.#shell.client;
      setText(this.#curl.code, asCurl(url, request));
      setText(this.#javaScript.code, asJavaScript(url, request));
      setText(this.#error, '');
      return request;
    } catch (error) {
      setText(this.#error, error.message);
      return null;
    }
  }

  async #send() {
    const request = this.#show();
    if (!request) return;
    const began = performance.now();
    try {
      const token = await this.#otherToken();
      const headers = token ? { Authorization: `Bearer ${token}` } : {};
      const { status, body } = await this.#shell.client.request(request.method, request.path, { body: request.body, headers });
      this.#showAnswer(`${status}, after ${asDuration(performance.now() - began)}`, 'good', body);
    } catch (error) {
      this.#showAnswer(`${error.status ? `${error.status} ` : ''}${error.code}: ${error.message}`, 'bad', error.problem);
    }
  }

  /** A token of the role that this request needs, if the user has another one. */
  async #otherToken() {
    const { needs } = this.#request;
    const { session, client } = this.#shell;
    if (!needs || session.role === needs) return null;
    if (!session.isDemo) return this.#token.value.trim();
    return (await client.request('POST', '/demo', { body: { user: session.userId, role: needs } })).body.token;
  }

  #showAnswer(text, tone, body) {
    this.#answer.replaceChildren(h('h3', {}, 'Answer'), h('p', { className: `answer-line ${tone}` }, text), ...(body ? [jsonElement(body, 'The answer')] : []));
  }
}
