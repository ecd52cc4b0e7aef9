// A fan-out server of uWebSockets: it publishes every message to all connections.
//
// Its only argument is the address to listen on, such as 127.0.0.1:0. It prints the address on which it listens.

#include <cstdlib>
#include <iostream>
#include <string>

#include "App.h"

struct Member {};

int main(int count, char **arguments) {
    const std::string address = count > 1 ? arguments[1] : "127.0.0.1:9001";
    const size_t colon = address.rfind(':');
    const std::string host = address.substr(0, colon);
    const int port = std::atoi(address.c_str() + colon + 1);

    uWS::App app;
    uWS::App::WebSocketBehavior<Member> behavior;
    behavior.compression = uWS::DISABLED;
    behavior.maxPayloadLength = 16 * 1024 * 1024;
    // As in the server of sansocket: a slow member misses nothing below 64 MiB, and silent members get no Ping.
    behavior.maxBackpressure = 64 * 1024 * 1024;
    behavior.idleTimeout = 0;
    behavior.sendPingsAutomatically = false;
    behavior.open = [](auto *member) { member->subscribe("all"); };
    // `App::publish` includes the sender; `WebSocket::publish` would not.
    behavior.message = [&app](auto *, std::string_view message, uWS::OpCode kind) {
        app.publish("all", message, kind);
    };
    app.ws<Member>("/*", std::move(behavior));
    app.listen(host, port, [&host](us_listen_socket_t *listener) {
        if (listener == nullptr) {
            std::cerr << "cannot listen" << std::endl;
            std::exit(EXIT_FAILURE);
        }
        const int port = us_socket_local_port(0, reinterpret_cast<us_socket_t *>(listener));
        std::cout << "listening on " << host << ':' << port << std::endl;
    });
    app.run();
}
