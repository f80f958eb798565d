// cluster.js ADDRESS PORT - Node's cluster module: the workers get their connections (or the listening socket) from the
// primary, as descriptors in messages. PORT is handed round by the primary, PORT + 1 is accepted by the workers themselves.
'use strict';
const cluster = require('cluster');
const http = require('http');
const net = require('net');
const [address, port] = [process.argv[2], Number(process.argv[3])];
const WORKERS = 3;

cluster.schedulingPolicy = process.argv[4] === 'shared' ? cluster.SCHED_NONE : cluster.SCHED_RR;

if (cluster.isPrimary) {
    let listening = 0;
    for (let i = 0; i < WORKERS; i++)
        cluster.fork();
    cluster.on('listening', () => {
        if (++listening === WORKERS)
            console.log('serving');
    });
    // A worker that ends is replaced.
    cluster.on('exit', (worker, code) => {
        if (code === 3)
            cluster.fork();
    });
    // Connections that the primary itself accepts and passes on, with what was not read yet still in them.
    net.createServer({ pauseOnConnect: true }, (socket) => {
        Object.values(cluster.workers).find((worker) => worker.isConnected()).send('connection', socket);
    }).listen(port + 1, address);
} else {
    http.createServer((request, response) => {
        if (request.url === '/end')
            response.on('finish', () => process.exit(3));
        response.end(`${request.socket.remoteAddress} ${request.socket.localAddress} ${process.pid}\n`);
    }).listen(port, address);
    process.on('message', (what, socket) => {
        if (what === 'connection')
            socket.on('data', (data) => socket.end(`${socket.remoteAddress} ${data}`)).resume();
    });
}
