import Addressing
import TestSupport
import Testing

@testable import LinuxSystem

/// Requests byte by byte, and what the kernel makes of them.
@Suite struct NetlinkTests {
    @Test func aPolicyRuleIsTheBytesOfIPRuleAdd() {
        let message = RouteRequest.rule(
            isIPv4: true,
            mark: 0x1000,
            table: 100,
            priority: 32_764,
            removes: false
        )
        #expect(
            message.finished(sequence: 7) == [
                60, 0, 0, 0,  // length
                32, 0, 0x05, 0x06,  // RTM_NEWRULE; REQUEST, ACK, EXCL, CREATE
                7, 0, 0, 0, 0, 0, 0, 0,  // sequence, port
                2, 0, 0, 0, 0, 0, 0, 1,  // AF_INET, …, FR_ACT_TO_TBL
                0, 0, 0, 0,  // flags
                8, 0, 6, 0, 0xfc, 0x7f, 0, 0,  // FRA_PRIORITY
                8, 0, 10, 0, 0, 0x10, 0, 0,  // FRA_FWMARK
                8, 0, 15, 0, 100, 0, 0, 0,  // FRA_TABLE
                8, 0, 16, 0, 0, 0x10, 0, 0,  // FRA_FWMASK
            ]
        )
    }

    @Test func aRuleIsTheBytesOfNftAddRule() {
        let rule = NFRule(
            "own",
            [.loadMeta(.transport), .compare(.notEqual, [6]), .leave]
        )
        let bytes = NFBatch.newRule(rule, "out", "martlet").finished(sequence: 1)
        #expect(
            bytes == [
                180, 0, 0, 0,  // length
                6, 10, 0x01, 0x0c,  // NFT_MSG_NEWRULE of nf_tables; REQUEST, CREATE, APPEND
                1, 0, 0, 0, 0, 0, 0, 0,  // sequence, port
                1, 0, 0, 0,  // NFPROTO_INET, version, resource
                12, 0, 1, 0, 109, 97, 114, 116, 108, 101, 116, 0,  // NFTA_RULE_TABLE
                8, 0, 2, 0, 111, 117, 116, 0,  // NFTA_RULE_CHAIN
                132, 0, 4, 0x80,  // NFTA_RULE_EXPRESSIONS
                36, 0, 1, 0x80,  // NFTA_LIST_ELEM
                9, 0, 1, 0, 109, 101, 116, 97, 0, 0, 0, 0,  // "meta"
                20, 0, 2, 0x80,  // NFTA_EXPR_DATA
                8, 0, 1, 0, 0, 0, 0, 1,  // NFTA_META_DREG: register 1
                8, 0, 2, 0, 0, 0, 0, 16,  // NFTA_META_KEY: l4proto
                44, 0, 1, 0x80,  // NFTA_LIST_ELEM
                8, 0, 1, 0, 99, 109, 112, 0,  // "cmp"
                32, 0, 2, 0x80,  // NFTA_EXPR_DATA
                8, 0, 1, 0, 0, 0, 0, 1,  // NFTA_CMP_SREG
                8, 0, 2, 0, 0, 0, 0, 1,  // NFTA_CMP_OP: not equal
                12, 0, 3, 0x80, 5, 0, 1, 0, 6, 0, 0, 0,  // NFTA_CMP_DATA: TCP
                48, 0, 1, 0x80,  // NFTA_LIST_ELEM
                14, 0, 1, 0, 105, 109, 109, 101, 100, 105, 97, 116, 101, 0, 0, 0,  // "immediate"
                28, 0, 2, 0x80,  // NFTA_EXPR_DATA
                8, 0, 1, 0, 0, 0, 0, 0,  // NFTA_IMMEDIATE_DREG: the verdict
                16, 0, 2, 0x80,  // NFTA_IMMEDIATE_DATA: NFT_RETURN
                12, 0, 2, 0x80, 8, 0, 1, 0, 255, 255, 255, 251,
                7, 0, 7, 0, 111, 119, 110, 0,  // NFTA_RULE_USERDATA
            ]
        )
    }

    @Test func aFailedBatchNamesItsRuleAndChangesNothing() async throws {
        let namespace = Command.uniqueName("nl")
        Command.run("ip netns add \(namespace)")
        defer { Command.run("ip netns del \(namespace)") }
        let thread = try NamespaceThread()
        defer { thread.stop() }
        let opened = try NetworkNamespace(path: NetworkNamespace.path(of: namespace))
        func replace(_ rules: [NFRule]) async throws -> Result<Void, NetlinkError> {
            let table = NFTable(
                name: "martlet",
                version: "v",
                chains: [
                    .init(name: "c", type: "filter", hook: .output, priority: 0, rules: rules)
                ]
            )
            return try await thread.run(in: opened.rawValue) { () throws(NetlinkError) in
                do throws(Errno) {
                    var socket = try NetlinkSocket(.netfilter)
                    do throws(NetlinkError) { try socket.perform(NFBatch.replace(table)) } catch {
                        return Result<Void, NetlinkError>.failure(error)
                    }
                    return .success(())
                } catch {
                    throw NetlinkError(subject: "socket", errno: error)
                }
            }.get().get()
        }
        try await replace([NFRule("counts", [.counter])]).get()
        let list = "ip netns exec \(namespace) nft -a list ruleset"
        let before = Command.run(list).output
        #expect(before.contains("counter packets"))
        let outcome = try await replace([
            NFRule("counts", [.counter]), NFRule("bad", [.redirect(port: 1)]),
        ])
        guard case .failure(let error) = outcome else {
            Issue.record("expected a redirect in a filter chain to be refused")
            return
        }
        #expect(error.subject == "rule \"bad\"")
        #expect(Command.run(list).output == before)
        try await replace([NFRule("counts", [.counter]), NFRule("twice", [.counter])]).get()
        #expect(
            Command.run(list).output.split(separator: "\n").count
                > before.split(separator: "\n").count
        )
    }
}
