import DataPlane
import Testing

@Suite struct EventLoopTests {
    @Test func aFullMailboxIsTold() throws {
        let loop = try EventLoop()
        for _ in 0..<1_024 { #expect(loop.submit {}) }
        #expect(!loop.submit {})
        loop.turn(waitingUpTo: 0)
        #expect(loop.submit {})
    }
}
