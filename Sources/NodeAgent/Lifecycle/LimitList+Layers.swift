import DataPlane
import L4Proxy
import Telemetry

/// Limits of what is around the HTTP engine.
extension LimitList {
    var routing: [Row] {
        let engine = limits.engine
        let row = { (name: String, unit: String, value: Int, reason: String) in
            Limit("routing.\(name)", unit: unit, value: value, reason: reason)
        }
        return [
            Row(
                limit: row(
                    "listenerMax",
                    "listeners",
                    engine.nameMax,
                    "Numbers for per-worker state; one more has no counts and no blocks of its own."
                )
            ) { $0.refusals.listeners },
            Row(
                limit: row(
                    "entryMax",
                    "sockets",
                    engine.nameMax,
                    "Ports and captured destinations; one more is not served."
                )
            ) { $0.refusals.entries },
            Row(
                limit: row(
                    "clusterMax",
                    "clusters",
                    engine.nameMax,
                    "Numbers for per-worker state; routes to one more are answered 500."
                )
            ) { $0.refusals.clusters },
            Row(
                limit: row(
                    "endpointMax",
                    "endpoints",
                    engine.endpointMax,
                    "Over all clusters; one more gets no requests."
                )
            ) { $0.refusals.endpoints },
            Row(
                limit: row(
                    "trafficRowMax",
                    "rows",
                    engine.trafficRowMax,
                    "Listeners, routes, clusters with metrics of their own; more are shown as other."
                )
            ) { $0.refusals.trafficRows },
            Row(
                limit: row(
                    "socketMax",
                    "sockets",
                    engine.listenerMax,
                    "Listening sockets per worker; one more does not accept and is a fault."
                )
            ) { $0.refusedSocketCount },
        ]
    }

    var relay: [Row] {
        let relay = limits.relay
        return [
            Row(
                limit: Limit(
                    "relay.pairMax",
                    unit: "connections",
                    value: relay.pairMax,
                    reason: "Per worker; bounds memory. One more is closed at once."
                )
            ) { $0.relay.pairLimitHits },
            Row(
                limit: Limit(
                    "relay.bufferBlockMax",
                    unit: "blocks",
                    value: relay.bufferBlockMax,
                    reason: "Per worker; bounds memory under slow peers, whose connections end."
                )
            ) { $0.relay.bufferLimitHits },
            Row(
                limit: Limit(
                    "relay.connectTimeout",
                    time: relay.connectTimeout,
                    reason: "An endpoint that does not answer is given up for another."
                )
            ) { $0.relay.connectTimeouts },
            Row(
                limit: Limit(
                    "relay.idleTimeout",
                    time: relay.idleTimeout,
                    reason: "A pair without a byte either way is closed."
                )
            ) { $0.relay.idleTimeouts },
            Row(
                limit: Limit(
                    "relay.triesMax",
                    unit: "tries",
                    value: relay.triesMax,
                    reason: "Endpoints tried for one connection; then it is closed."
                )
            ) { $0.relay.triesLimitHits },
        ]
    }

    var blocks: [Row] {
        let verdicts = limits.blocks.verdicts
        return [
            Row(
                limit: Limit(
                    "blocks.userspaceMax",
                    unit: "entries",
                    value: limits.blocks.userspaceMax,
                    reason: "Each worker keeps its own table; one more is left to XDP alone."
                )
            ) { $0.blockOverflowCount },
            Row(
                limit: Limit(
                    "blocks.firstTTLMax",
                    time: verdicts.firstTTLMax,
                    reason: "An error of a plugin heals soon; a longer first block is shortened."
                )
            ) { $0.verdicts.firstTTL },
            Row(
                limit: Limit(
                    "blocks.ttlMax",
                    time: verdicts.ttlMax,
                    reason: "Times double with each repetition up to this."
                )
            ) { $0.verdicts.ttl },
            Row(
                limit: Limit(
                    "blocks.perMinuteMax",
                    unit: "blocks",
                    value: verdicts.blocksPerMinuteMax,
                    reason: "Per plugin and worker, where no SourcePolicy says; more are refused."
                )
            ) { $0.verdicts.blocksPerMinute },
            Row(
                limit: Limit(
                    "blocks.rememberedSourceMax",
                    unit: "sources",
                    value: verdicts.rememberedSourceCountMax,
                    reason: "Per worker, for growing times; blocks of further sources are refused."
                )
            ) { $0.verdicts.rememberedSources },
        ]
    }

    var loops: [Row] {
        [
            Row(
                limit: Limit(
                    "loop.mailboxMax",
                    unit: "letters",
                    value: EventLoop.mailboxMax,
                    reason: "Waiting for one thread; the sender of one more is told so."
                )
            ) { $0.refusedLetterCount },
            Row(
                limit: Limit(
                    "accessLog.blockMax",
                    unit: "blocks",
                    value: LogRing.blockCount,
                    reason: "64 KiB each, per worker; text that finds none is dropped."
                )
            ) { $0.droppedLogBlockCount },
            Row(
                limit: Limit(
                    "accessLog.textByteLimit",
                    unit: "bytes",
                    value: HTTPProxy.logTextByteLimit,
                    reason: "Of one field that comes from outside; a longer one is cut."
                )
            ) { $0.cutLogTextCount },
        ]
    }
}
