import { Server } from 'socket.io';
import { userOf } from '../crm/auth.js';

let io;

export function start(server) {
  io = new Server(server, { pingInterval: 10_000, pingTimeout: 5_000 });
  io.use(async (socket, next) => {
    try {
      socket.user = await userOf(socket.handshake.auth.token); // a query for each connection
      next();
    } catch {
      next(new Error('Authentication required'));
    }
  });
  io.on('connection', (socket) => {
    const { id, teamId, brokerId } = socket.user;
    socket.join([`broker-${brokerId}`, `team-${teamId}`, `user-${id}`]);
  });
}

export const sendToBroker = (brokerId, event, data) => io.to(`broker-${brokerId}`).emit(event, data);
export const sendToTeam = (teamId, event, data) => io.to(`team-${teamId}`).emit(event, data);
export const sendToUser = (userId, event, data) => io.to(`user-${userId}`).emit(event, data);
