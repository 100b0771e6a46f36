// The requests that the inspector sends. Each field is `[name, label, what it begins with, more]`.

const optional = (name, value) => (value === '' ? {} : { [name]: value });
const json = (name, text) => {
  if (text.trim() === '') return {};
  try {
    return { [name]: JSON.parse(text) };
  } catch {
    throw new Error(`“${name}” is not JSON. Put texts and names in double quotes.`);
  }
};
const whole = (name, text) => {
  if (!/^\d+$/.test(text)) throw new Error(`“${name}” must be a whole number.`);
  return { [name]: Number(text) };
};
const record = ({ module, recordId }) => ({ module, recordId });
const lockPath = ({ module, recordId }) => `/locks/${encodeURIComponent(module)}/${encodeURIComponent(recordId)}`;

/** @param {{team: string, session: string, modules: string[]}} known of the user and the tab */
export const requestsOf = ({ team, session, modules }) => [
  {
    name: 'publish', label: 'Publish an event', needs: 'service',
    fields: [
      ['type', 'Type', 'listing:sold'], ['audience', 'For', 'broker', { options: [['broker', 'The whole brokerage'], ['team', 'A team'], ['user', 'A user']] }],
      ['audienceId', 'Team or user', team, { isHidden: ({ audience }) => audience === 'broker' }],
      ['module', 'Module', modules[1] ?? modules[0] ?? '', { options: ['', ...modules] }], ['recordId', 'Record', 'l-1'], ['data', 'Data, as JSON', '{"price": 395000}', { isText: true }],
    ],
    make: ({ type, audience, audienceId, module, recordId, data }) => ({
      method: 'POST', path: '/events',
      body: { type, audience: audience === 'broker' ? { broker: true } : { [audience]: audienceId }, ...optional('module', module), ...optional('recordId', recordId), ...json('data', data) },
    }),
  },
  {
    name: 'lock', label: 'Lock a record',
    fields: [
      ['act', 'What', 'acquire', { options: [['acquire', 'Acquire'], ['renew', 'Renew'], ['request', 'Ask its holder'], ['takeover', 'Take over'], ['release', 'Release']] }],
      ['module', 'Module', modules[0] ?? '', { options: modules }], ['recordId', 'Record', 'e-1'], ['session', 'Session', session],
      ['leaseSeconds', 'Lease, in seconds', '60', { isHidden: ({ act }) => act === 'release' || act === 'request' }],
    ],
    make: (values) => {
      const { act, session: own, leaseSeconds } = values;
      if (act === 'release') return { method: 'DELETE', path: `${lockPath(values)}?session=${encodeURIComponent(own)}` };
      if (act === 'request') return { method: 'POST', path: `${lockPath(values)}/request`, body: { session: own } };
      const lease = { session: own, ...whole('leaseSeconds', leaseSeconds) };
      if (act === 'acquire') return { method: 'POST', path: '/locks', body: { ...record(values), ...lease } };
      return { method: 'POST', path: `${lockPath(values)}/${act}`, body: lease };
    },
  },
  {
    name: 'signal', label: 'Send a signal',
    fields: [
      ['name', 'Name', 'typing'], ['on', 'Where', 'record', { options: [['record', 'On a record'], ['team', 'In a team']] }],
      ['module', 'Module', modules[0] ?? '', { options: modules, isHidden: ({ on }) => on === 'team' }], ['recordId', 'Record', 'e-1', { isHidden: ({ on }) => on === 'team' }],
      ['team', 'Team', team, { isHidden: ({ on }) => on === 'record' }], ['session', 'Session', session],
    ],
    make: ({ name, on, team: chosen, session: own, ...rest }) => ({ method: 'POST', path: '/signals', body: { name, ...(on === 'team' ? { team: chosen } : record(rest)), ...optional('session', own) } }),
  },
  {
    name: 'task', label: 'Create a task',
    fields: [['type', 'Type', 'letter'], ['title', 'Title', 'A letter to the seller'], ['team', 'Team that sees it', team], ['params', 'Params, as JSON', '{"to": "Ms. Ünal"}', { isText: true }]],
    make: ({ type, title, team: chosen, params }) => ({ method: 'POST', path: '/tasks', body: { type, ...optional('title', title), ...optional('team', chosen), ...json('params', params) } }),
  },
];
