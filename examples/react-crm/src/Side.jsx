import { useState } from 'react';
import { useActivity, useNotifications, useTask, useTasks } from 'porchlight/react';

/** Tasks, notifications and activity, one at a time. */
export function Side({ module }) {
  const [shown, show] = useState(null);
  const { unread, notifications, markRead, markAllRead } = useNotifications();
  const toggle = (name) => () => show(shown === name ? null : name);
  return (
    <>
      <div className="side">
        <button aria-expanded={shown === 'tasks'} onClick={toggle('tasks')}>Tasks</button>
        <button aria-expanded={shown === 'inbox'} onClick={toggle('inbox')}>Notifications {unread > 0 && <b>{unread}</b>}</button>
        <button aria-expanded={shown === 'activity'} onClick={toggle('activity')}>Activity</button>
      </div>
      {shown === 'tasks' && <Tasks module={module} />}
      {shown === 'activity' && <Activity module={module} />}
      {shown === 'inbox' && (
        <ul className="panel" aria-label="Notifications">
          <li><button onClick={markAllRead} disabled={unread === 0}>Mark all as read</button></li>
          {notifications.map((one) => (
            <li key={one.id} data-read={one.read}>{one.title} {one.body} {!one.read && <button onClick={() => markRead(one.id)}>Read</button>}</li>
          ))}
        </ul>
      )}
    </>
  );
}

function Tasks({ module }) {
  const { tasks, create } = useTasks();
  const [openId, open] = useState(null);
  const ask = async () => open((await create({ type: 'summarize', title: `Summary of ${module}`, params: { module } })).id);
  return (
    <ul className="panel" aria-label="Tasks">
      <li><button onClick={ask}>Summarise {module}</button></li>
      {tasks.map(({ id, title, type, state, percent }) => (
        <li key={id}>
          <button className="link" onClick={() => open(id)}>{title ?? type}</button> {state} {percent !== undefined && `${percent} %`}
          {id === openId && <Task id={id} />}
        </li>
      ))}
    </ul>
  );
}

function Task({ id }) {
  const { task, output, hasEnded, cancel, error } = useTask(id);
  return (
    <div>
      <progress max="100" value={task?.percent ?? 0} /> {error?.message ?? task?.error?.message ?? task?.message}
      {!hasEnded && <button onClick={cancel}>Cancel</button>}
      <pre>{output}</pre>
    </div>
  );
}

function Activity({ module }) {
  const { activity, hasMore, loadMore } = useActivity({ module });
  return (
    <ul className="panel" aria-label="Activity">
      {activity.map(({ position, text, at }) => <li key={position} title={new Date(at).toLocaleString()}>{text}</li>)}
      {hasMore && <li><button onClick={loadMore}>More</button></li>}
    </ul>
  );
}
