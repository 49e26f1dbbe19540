from tlsdissect.flows.budget cimport Budget
from tlsdissect.handshake.direction cimport Direction, KeptBody, PacketRecords
from tlsdissect.handshake.encrypted_flight cimport EncryptedFlight, flight_after
from tlsdissect.handshake.events cimport DecodedHello, HandshakeEvent, SealedRecord, SeenClientHello, SeenServerHello, decode_client_hello, decode_server_hello, new_event, new_sealed
from tlsdissect.tls.hello_cache cimport derive_once
from tlsdissect.tls.record cimport Message, MessageJoiner, Record, new_record

cdef long long _HANDSHAKE
cdef long long _APPLICATION_DATA
cdef long long _ALERT
cdef long long _CHANGE_CIPHER_SPEC
cdef long long _RECORD_HEADER
cdef long long _PART_BYTES
cdef long long _MAX_EVENTS
cdef long long _MAX_PROTECTED
cdef long long _UNKNOWN
cdef long long _UNTIMED
cdef long long _CLIENT
cdef long long _SERVER
cdef long long _RETRY
cdef long long _CERTIFICATE


cdef class HandshakeLog:
    cdef public list events
    cdef public SeenClientHello client_hello
    cdef public SeenServerHello server_hello
    cdef public HandshakeEvent retry_request
    cdef readonly long long hello_retries
    cdef readonly long long client
    cdef public long long version
    cdef public bint tls13
    cdef readonly bint decided
    cdef readonly list alert_sizes
    cdef readonly long long mac_size
    cdef readonly bint replied
    cdef readonly list first_data
    cdef readonly list protected
    cdef readonly list has_finished
    cdef readonly list heartbeats
    cdef readonly set limited
    cdef readonly long long keeps
    cdef readonly bint opens
    cdef readonly list sealed_records
    cdef readonly bint unkept
    cdef readonly list numbers
    cdef readonly list previous
    cdef object _keys
    cdef list _blocks
    cdef Py_ssize_t _known_blocks
    cdef tuple _begun
    cdef long long _sealed_bytes
    cdef public long long kept_bytes
    cdef readonly long long held_bytes
    cdef readonly Budget budget
    cdef object _recorder
    cdef bint _datagrams
    cdef long long _acknowledgement
    cpdef bint sort(self)
    cpdef bint is_over(self)
    cdef EncryptedFlight _flight(self)
    cpdef bint is_long(self)
    cpdef bint decide(self)
    cpdef bint add_records(self, long long sender, Direction direction, PacketRecords completed, long long acknowledgement) except? -1
    cpdef bint look_for_keys(self) except? -1
    cdef bint _numbers_are_known(self)
    cdef long long _longest(self)
    cdef bint _count_sealed(self, long long sender, Direction direction, Record record, long long frame, long long time)
    cdef bint _keep_sealed(self, long long sender, long long epoch, long long number, long long kind, long long version, KeptBody body)
    cpdef bint add_sealed(self, SealedRecord record)
    cdef bint _chains(self)
    cpdef bint take_bodies(self, long long sender, Direction direction) except? -1
    cdef bint _add_record(self, long long sender, Record record, long long frame, long long time, bint encrypted) except? -1
    cpdef bint add_event(self, HandshakeEvent event) except? -1
    cpdef bint count_passed(self, long long sender, long long records) except? -1
    cpdef bint account(self, long long size)
    cdef bint _application_data(self, long long sender, Record record, long long frame, long long time)
    cdef bint _alerts(self, long long sender, Direction direction, Record record, long long frame, long long time)
    cdef bint _handshake(self, long long sender, Direction direction, Record record, long long frame, long long time)
    cdef bint _messages(self, long long sender, Direction direction, Record record, long long frame, long long time)
    cdef bint _account_incomplete_message(self, long long sender, Direction direction, Record record, long long frame, long long time)
    cdef bint _truncated_handshake(self, long long sender, Direction direction, Record record, long long frame, long long time)
    cdef bint _is_clear(self, Direction direction, bytes fragment)
    cdef bint _hello(self, HandshakeEvent event, object problems, long long segments)
    cdef bint _client_hello(self, HandshakeEvent event, object problems, long long segments)
    cdef bint _server_hello(self, HandshakeEvent event, object problems)
    cdef long long _selected(self, HandshakeEvent event, object hello)
