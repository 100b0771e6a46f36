import { QueryClient } from '@tanstack/react-query';
import { io } from 'socket.io-client';
import { startApp } from '../crm/App.jsx';
import { api } from '../crm/api.js';

const queryClient = new QueryClient();
const load = (module) => api('GET', module);
const saved = (module) => queryClient.invalidateQueries({ queryKey: [module] });

function connect({ token }) {
  const socket = io({ auth: { token }, transports: ['websocket', 'polling'], reconnectionAttempts: 5 });
  socket.on('data:update', ({ entityType }) => queryClient.invalidateQueries({ queryKey: [`${entityType}s`] }));
  return () => socket.disconnect();
}

startApp({ queryClient, connect, load, saved });
