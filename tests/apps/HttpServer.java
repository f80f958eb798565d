/*
 * HttpServer.java ADDRESS PORT | fetch URL - an HTTP server of the JDK's own with a thread for each request, or a client.
 *
 * The server answers GET /NUMBER with that many bytes, POST with the body's length, anything else with the client's
 * address. fetch prints what a client of the JDK's own got.
 */
import com.sun.net.httpserver.HttpExchange;
import java.io.IOException;
import java.net.ConnectException;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.concurrent.Executors;
import java.util.stream.IntStream;

public class HttpServer {
    static void answer(HttpExchange exchange) throws IOException {
        byte[] body;
        String path = exchange.getRequestURI().getPath();
        if (exchange.getRequestMethod().equals("POST"))
            body = Integer.toString(exchange.getRequestBody().readAllBytes().length).getBytes();
        else if (path.matches("/\\d+"))
            body = new byte[Integer.parseInt(path.substring(1))];
        else
            body = exchange.getRemoteAddress().getAddress().getHostAddress().getBytes();
        exchange.sendResponseHeaders(200, body.length);
        try (var out = exchange.getResponseBody()) {
            out.write(body);
        }
    }

    static void serve(InetSocketAddress address) throws IOException {
        var server = com.sun.net.httpserver.HttpServer.create(address, 128);
        server.createContext("/", HttpServer::answer);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
        System.out.println("serving on " + server.getAddress().getAddress().getHostAddress());
    }

    static void fetch(URI base) throws Exception {
        var client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        var get = HttpRequest.newBuilder(base.resolve("/")).build();
        System.out.println("address " + client.send(get, BodyHandlers.ofString()).body());
        var large = HttpRequest.newBuilder(base.resolve("/20000000")).build();
        System.out.println("large " + client.send(large, BodyHandlers.ofByteArray()).body().length);
        var post = HttpRequest.newBuilder(base).POST(HttpRequest.BodyPublishers.ofByteArray(new byte[5000000])).build();
        System.out.println("post " + client.send(post, BodyHandlers.ofString()).body());
        var many = IntStream.range(0, 100)
            .mapToObj(i -> client.sendAsync(HttpRequest.newBuilder(base.resolve("/" + i)).build(), BodyHandlers.ofByteArray()))
            .toList();
        int right = 0;
        for (int i = 0; i < many.size(); i++)
            if (many.get(i).get().body().length == i)
                right++;
        System.out.println("many " + right);
        try (var socket = new Socket(base.getHost(), base.getPort() + 1)) {
            System.out.println("refused: connected");
        } catch (ConnectException e) {
            System.out.println("refused: " + e.getMessage());
        }
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("fetch")) {
            fetch(URI.create(arguments[1]));
            System.exit(0);
        }
        serve(new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1])));
    }
}
