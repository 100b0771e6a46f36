'use client';

// porchlight/react: hooks over a client, for React 18 and 19.
export { useLock, usePresence, useTyping } from './collaboration.js';
export { ConnectionBadge, useConnection, usePendingWrites } from './connection.js';
export { useEvent } from './events.js';
export { PorchlightProvider, useClient } from './provider.js';
export { useMutation, useRecord, useRecords } from './records.js';
export { useActivity, useNotifications, useTask, useTasks } from './work.js';
