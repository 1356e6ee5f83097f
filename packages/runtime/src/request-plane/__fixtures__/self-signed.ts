// SPDX-License-Identifier: Apache-2.0
// Certificates for 127.0.0.1 that are their own authorities, and their keys. For tests only; made with
// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 -addext subjectAltName=IP:127.0.0.1
import type { TcpTls } from "../tcp/sockets.js";

/** One that trusts itself: whoever has it too is let in. */
export function selfSigned(): TcpTls {
	return { cert: CERT, key: KEY, ca: CERT };
}

/** Another one, that the first does not know. */
export function otherSelfSigned(): Pick<TcpTls, "cert" | "key"> {
	return { cert: OTHER_CERT, key: OTHER_KEY };
}

const CERT = `-----BEGIN CERTIFICATE-----
MIIBoTCCAUegAwIBAgIUSKyQDJcpMDQdt4ja3pV8ObqvKdAwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMZHluIHRlc3Qgb25lMCAXDTI2MTEyMTEwNDUxMVoYDzIxMjYx
MDI4MTA0NTExWjAXMRUwEwYDVQQDDAxkeW4gdGVzdCBvbmUwWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAAQKomR3SGG+n0Lzce6nZLSnomW4DH5FB86PShHoxtWBsFWB
OUCEgBtzYe314nX07D42YpGNqq0SGlf8BpZZjS57o28wbTAdBgNVHQ4EFgQUMO+t
395VdiKtHzuVcyUKtN43glwwHwYDVR0jBBgwFoAUMO+t395VdiKtHzuVcyUKtN43
glwwDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARhwR/AAABgglsb2NhbGhvc3Qw
CgYIKoZIzj0EAwIDSAAwRQIhAK2Vr52exVhlguxyzi0HYPq/70rpWOcj3ike7d1n
VhGzAiBfCQfImdJ5NmYW9aXRio3yUHihOBj9HKeQ+ObkFH3XdQ==
-----END CERTIFICATE-----`;

const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcMRmsy6aP7gpdVdQ
dfR4twzRsBufIbCDOvWQ72F/e/ShRANCAAQKomR3SGG+n0Lzce6nZLSnomW4DH5F
B86PShHoxtWBsFWBOUCEgBtzYe314nX07D42YpGNqq0SGlf8BpZZjS57
-----END PRIVATE KEY-----`;

const OTHER_CERT = `-----BEGIN CERTIFICATE-----
MIIBoTCCAUegAwIBAgIUYELiCa7FSNucZ9gQQ/CNjiwp+1cwCgYIKoZIzj0EAwIw
FzEVMBMGA1UEAwwMZHluIHRlc3QgdHdvMCAXDTI2MTEyMTEwNDUxMVoYDzIxMjYx
MDI4MTA0NTExWjAXMRUwEwYDVQQDDAxkeW4gdGVzdCB0d28wWTATBgcqhkjOPQIB
BggqhkjOPQMBBwNCAATRpAV+C9CbmAg9kXPhixHFPpzCPhsehhS2vL4rf6z71XoB
tJBtGKan2AyPzC7eCbYUQOW7IM2bhm2TxLykga53o28wbTAdBgNVHQ4EFgQUwiER
SBhiyKSW1tiRCHtpaw2/m3cwHwYDVR0jBBgwFoAUwiERSBhiyKSW1tiRCHtpaw2/
m3cwDwYDVR0TAQH/BAUwAwEB/zAaBgNVHREEEzARhwR/AAABgglsb2NhbGhvc3Qw
CgYIKoZIzj0EAwIDSAAwRQIhAIotgXIaaMk1aZ6NZUxrSdjU8k3FAOGVwTFiYrWC
CRXaAiBN/Bbd97iQZybxoj0rLHiqCEybJHQRHbmNLUFhd5F2LA==
-----END CERTIFICATE-----`;

const OTHER_KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIid/OZwaWOtZy1UY
InbXHX4oKi7Ui43yCFAAlpdMi1ahRANCAATRpAV+C9CbmAg9kXPhixHFPpzCPhse
hhS2vL4rf6z71XoBtJBtGKan2AyPzC7eCbYUQOW7IM2bhm2TxLykga53
-----END PRIVATE KEY-----`;
