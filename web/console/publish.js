// The form "Publish": an event, as a service would publish it.
import { ask, problemOf, SILENCE } from './api.js';
import { find, say } from './elements.js';

function eventOf(form) {
  const { type, audience, audienceId, module, recordId, data } = Object.fromEntries(new FormData(form));
  const event = { type, audience: { [audience]: audience === 'broker' ? true : audienceId } };
  if (module) event.module = module;
  if (recordId) event.recordId = recordId;
  if (data.trim()) event.data = JSON.parse(data);
  return event;
}

function markField(form, name) {
  for (const field of form.elements) field.removeAttribute('aria-invalid');
  form.elements.namedItem(name)?.setAttribute('aria-invalid', 'true');
}

async function refusalOf(response, form) {
  const problem = await response.clone().json().catch(() => ({}));
  if (problem.field) markField(form, problem.field);
  return `Not published: ${await problemOf(response)}`;
}

async function publish(form) {
  markField(form, '');
  let event;
  try {
    event = eventOf(form);
  } catch (error) {
    markField(form, 'data');
    return say('published', `The data is not JSON: ${error.message}`, false);
  }
  const response = await ask('POST', '/events', event);
  if (!response.ok) return say('published', await refusalOf(response, form), false);
  const { positions } = await response.json();
  return say('published', `Published at ${positions.join(', ')}`, true);
}

/** Connects the form. */
export function publishing() {
  const form = find('publishing');
  form.addEventListener('submit', async (submit) => {
    submit.preventDefault();
    const button = submit.submitter;
    button.disabled = true;
    try {
      await publish(form);
    } catch {
      say('published', `Not published: ${SILENCE.toLowerCase()}`, false);
    } finally {
      button.disabled = false;
    }
  });
  form.elements.audience.addEventListener('change', ({ target }) => {
    form.elements.audienceId.disabled = target.value === 'broker';
  });
}
