// For node.sh: `node node.js serve ADDRESS PORT` is an HTTP server, `node node.js fetch URL` exercises one.
'use strict';
const http = require('http');
const crypto = require('crypto');

const large = Buffer.alloc(16 << 20, 'sidestack');

function sha256(data) {
    return crypto.createHash('sha256').update(data).digest('hex');
}

function serve(address, port) {
    const server = http.createServer((request, response) => {
        if (request.method === 'POST') {
            const hash = crypto.createHash('sha256');
            request.on('data', (piece) => hash.update(piece));
            request.on('end', () => response.end(hash.digest('hex')));
        } else if (request.url === '/large') {
            response.end(large);
        } else {
            response.end(request.socket.remoteAddress);
        }
    });
    server.listen(port, address, () => console.log('serving on', server.address().address));
    process.on('SIGTERM', () => {
        server.close(() => process.exit(0));
        server.closeAllConnections();
    });
}

async function exercise(url) {
    console.log('address', await (await fetch(url + '/')).text());
    const got = Buffer.from(await (await fetch(url + '/large')).arrayBuffer());
    console.log('get', sha256(got) === sha256(large));
    const posted = await (await fetch(url + '/', { method: 'POST', body: large })).text();
    console.log('post', posted === sha256(large));
    const many = await Promise.all(Array.from({ length: 50 }, () => fetch(url + '/').then((r) => r.text())));
    console.log('many', many.length, new Set(many).size);
    const refused = new URL(url);
    refused.port = 8001;
    await fetch(refused).catch((error) => console.log('refused', error.cause.code || error.cause.message));
}

const [, , what, ...rest] = process.argv;
if (what === 'serve') {
    serve(rest[0], Number(rest[1]));
} else {
    exercise(rest[0]);
}
