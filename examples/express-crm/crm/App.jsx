import { QueryClientProvider, useQuery } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { api, signIn } from './api.js';
import { MODULES } from './modules.js';

/**
 * Starts the page. `connect(session, showState)` begins the live updates and returns what ends them, `load(module)`
 * fetches a list, and `saved(module, action, row)` is called after this user changed a record.
 */
export function startApp({ queryClient, connect, load, saved }) {
  const change = (action, method, module, id, body) =>
    api(method, id ? `${module}/${id}` : module, body).then((row) => saved(module, action, row), (error) => alert(error.message));

  createRoot(document.querySelector('main')).render(
    <QueryClientProvider client={queryClient}>
      <App connect={connect} load={load} change={change} />
    </QueryClientProvider>,
  );
}

function App({ connect, load, change }) {
  const [session, setSession] = useState();
  const [state, showState] = useState();
  useEffect(() => session && connect(session, showState), [session]);
  if (!session) return <SignIn onSession={setSession} />;
  return (
    <>
      <p>{session.name} <output>{state}</output></p>
      {Object.keys(MODULES).map((module) => <List key={module} module={module} load={load} change={change} />)}
    </>
  );
}

function SignIn({ onSession }) {
  const submit = (event) => {
    event.preventDefault();
    signIn(event.target.email.value).then(onSession, (error) => alert(error.message));
  };
  return <form onSubmit={submit}><input name="email" placeholder="ann@acme.test" /><button>Sign in</button></form>;
}

function List({ module, load, change }) {
  const { data: rows = [] } = useQuery({ queryKey: [module], queryFn: () => load(module) });
  return (
    <section id={module}>
      <h2>{module}</h2>
      {rows.map((row) => <Row key={row.id} row={row} module={module} change={change} />)}
      <button onClick={() => change('create', 'POST', module, undefined, {})}>Add</button>
    </section>
  );
}

function Row({ row, module, change }) {
  const save = (field) => ({ target }) =>
    target.value !== String(row[field] ?? '') && change('update', 'PATCH', module, row.id, { [field]: target.value });
  const leaveOnEnter = ({ key, target }) => key === 'Enter' && target.blur();
  return (
    <div id={row.id}>
      {MODULES[module].map((field) => (
        // Another key when the value changes, so that the input shows it.
        <input key={`${field} ${row[field]}`} name={field} placeholder={field} defaultValue={row[field]}
          onBlur={save(field)} onKeyDown={leaveOnEnter} />
      ))}
      <button onClick={() => change('delete', 'DELETE', module, row.id)}>Delete</button>
    </div>
  );
}
