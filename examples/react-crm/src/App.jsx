import { useState } from 'react';
import { ConnectionBadge, PorchlightProvider, useConnection, usePendingWrites, usePresence } from 'porchlight/react';
import { Dashboard } from './Dashboard.jsx';
import { MODULES } from './modules.js';
import { Side } from './Side.jsx';

const URL = import.meta.env.VITE_PORCHLIGHT_URL ?? 'http://127.0.0.1:8080';

/** A CRM has its own sign-in. Here the token comes with the link, like `#token=…`, or is pasted. */
function savedToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given) sessionStorage.setItem('token', given);
  if (given) history.replaceState(null, '', location.pathname);
  return sessionStorage.getItem('token');
}

export function App() {
  const [token, setToken] = useState(savedToken);
  if (!token) return <SignIn onToken={setToken} />;
  return <PorchlightProvider url={URL} token={token}><Crm /></PorchlightProvider>;
}

function SignIn({ onToken }) {
  const submit = (event) => {
    event.preventDefault();
    sessionStorage.setItem('token', event.target.elements.token.value);
    onToken(event.target.elements.token.value);
  };
  return <form className="sign-in" onSubmit={submit}><input name="token" placeholder="Token" aria-label="Token" required /><button>Sign in</button></form>;
}

function Crm() {
  const [module, setModule] = useState('escrows');
  return (
    <>
      <header>
        <nav>
          {Object.entries(MODULES).map(([name, { title }]) => (
            <button key={name} aria-current={name === module ? 'page' : undefined} onClick={() => setModule(name)}>{title}</button>
          ))}
        </nav>
        <People />
        <ConnectionBadge />
      </header>
      <Banner />
      <Side module={module} />
      <Dashboard key={module} module={module} />
    </>
  );
}

function People() {
  const { online, people } = usePresence();
  return <span className="people" title={people.map(({ userId, status }) => `${userId} (${status})`).join(', ')}>{online} online</span>;
}

/** What the user should know: that the page may be old, and what waits to be sent. */
function Banner() {
  const isLost = useConnection((connection) => connection.isLost);
  const { writes, conflicts, storage, resolve, discard } = usePendingWrites();
  return (
    <>
      {isLost && <p className="banner" role="alert">No connection. You can go on working: {writes.length} changes wait{storage === 'memory' && ', and a reload loses them'}.</p>}
      {conflicts.map(({ id, recordId, conflict }) => (
        <p className="banner" role="alert" key={id}>
          Somebody else has changed the same as you in {recordId}: {conflict.fields.map((field) => `${field} is now ${conflict.theirs[field]}, you wrote ${conflict.mine[field]}`).join('; ')}.
          <button onClick={() => resolve(id, 'mine')}>Keep mine</button>
          <button onClick={() => resolve(id, 'theirs')}>Take theirs</button>
          <button onClick={() => discard(id)}>Drop it</button>
        </p>
      ))}
    </>
  );
}
