/**
 * Whose word counts: the validators that are built in, by network and organisation. Keys rotate, so a list is dated; a
 * configuration that has a list of its own (`anchors.validators`) replaces it. Every key has a source.
 */

/** Public keys (G…) by organisation. Organisations count, not keys: one that runs five has one voice. */
export type Organisations = Readonly<Record<string, readonly string[]>>;

export interface ValidatorList {
  /** The day on which the source said so. */
  readonly asOf: string;
  readonly source: string;
  readonly organisations: Organisations;
}

const PUBNET: ValidatorList = {
  asOf: '2026-11-29',
  source: 'example configuration of stellar/packages, commit 076114b2750dd774f1d6bc5f60bb64fdc65476a6',
  organisations: {
    'publicnode.org': [
      'GCVJ4Z6TI6Z2SOGENSPXDQ2U4RKH3CNQKYUHNSSPYFPNWTLGS6EBH7I2', // Bootes
      'GCIXVKNFPKWVMKJKVK2V4NK7D4TC6W3BUMXSIJ365QUAXWBRPPJXIR2Z', // Lyra
      'GBLJNN3AVZZPG2FYAYTYQKECNWTQYYUUY2KVFN2OUKZKBULXIXBZ4FCT', // Hercules
    ],
    'lobstr.co': [
      'GCFONE23AB7Y6C5YZOMKUKGETPIAJA4QOYLS5VNS4JHBGKRZCPYHDLW7', // LOBSTR 1
      'GCB2VSADESRV2DDTIVTFLBDI562K6KE3KMKILBHUHUWFXCUBHGQDI7VL', // LOBSTR 2
      'GD5QWEVV4GZZTQP46BRXV5CUMMMLP4JTGFD7FWYJJWRL54CELY6JGQ63', // LOBSTR 3
      'GA7TEPCBDQKI7JQLQ34ZURRMK44DVYCIGVXQQWNSWAEQR6KB4FMCBT7J', // LOBSTR 4
      'GA5STBMV6QDXFDGD62MEHLLHZTPDI77U3PFOD2SELU5RJDHQWBR5NNK7', // LOBSTR 5
    ],
    'www.franklintempleton.com': [
      'GARYGQ5F2IJEBCZJCBNPWNWVDOFK7IBOHLJKKSG2TMHDQKEEC6P4PE4V', // FT SCV 1
      'GCMSM2VFZGRPTZKPH5OABHGH4F3AVS6XTNJXDGCZ3MKCOSUBH3FL6DOB', // FT SCV 2
      'GA7DV63PBUUWNUFAF4GAZVXU2OZMYRATDLKTC7VTCG7AU4XUPN5VRX4A', // FT SCV 3
    ],
    'satoshipay.io': [
      'GC5SXLNAM3C4NMGK2PXK4R34B5GNZ47FYQ24ZIBFDFOCU6D4KBN4POAE', // SatoshiPay Frankfurt
      'GBJQUIXUO4XSNPAUT6ODLZUJRV2NPXYASKUBY4G5MYP3M47PCVI55MNT', // SatoshiPay Singapore
      'GAK6Z5UVGUVSEK6PEOCAYJISTT5EJBB34PN3NOLEQG2SUKXRVV2F6HZY', // SatoshiPay Iowa
    ],
    'stellar.creit.tech': [
      'GBPLJDBFZO2H7QQH7YFCH3HFT6EMC42Z2DNJ2QFROCKETAPY54V4DCZD', // Creit Alpha
      'GDDANSYOYSY5EPSFHBRPCLX6XMHPPLIMHVIDXG6IPQLVVLRI2BN4HMH3', // Creit Beta
      'GBF7QOLFPTHUEDUPTT4ZTULDTA3QXDIO75JHKJN2IYD7YGQLYUTR75BT', // Creit Gamma
    ],
    'www.stellar.org': [
      'GCGB2S2KGYARPVIA37HYZXVRM2YZUEXA6S33ZU5BUDC6THSB62LZSTYH', // SDF 1
      'GCM6QMP3DLRPTAZW2UZPCPX2LF3SXWXKPMP3GKFZBDSF3QZGV2G5QSTK', // SDF 2
      'GABMKJM6I25XI4K7U6XWMULOUQIQ27BCTMLS6BYYSOWKTBUXVRJSXHYQ', // SDF 3
    ],
    'stellar.blockdaemon.com': [
      'GAAV2GCVFLNN522ORUYFV33E76VPC22E72S75AQ6MBR5V45Z5DWVPWEU', // Blockdaemon 1
      'GAVXB7SBJRYHSG6KSQHY74N7JAFRL4PFVZCNWW2ARI6ZEKNBJSMSKW7C', // Blockdaemon 2
      'GAYXZ4PZ7P6QOX7EBHPIZXNWY4KCOBYWJCA4WKWRKC7XIUS3UJPT6EZ4', // Blockdaemon 3
    ],
  },
};

const TESTNET: ValidatorList = {
  asOf: '2025-06-18',
  source: 'signers of ledgers 2 to 10047 of the testnet that began that day; all three are run by the SDF',
  organisations: {
    'www.stellar.org': [
      'GC2V2EFSXN6SQTWVYA5EPJPBWWIMSD2XQNKUOHGEKB535AQE2I6IXV2Z',
      'GCUCJTIYXSOXKBSNFGNFWW5MUQ54HKRPGJUTQFJ5RQXZXNOLNXYDHRAP',
      'GDKXE2OZMJIPOSLNA6N6F2BVCI3O777I2OOC4BV7VOYUEHYX7RTRYA7Y',
    ],
  },
};

/** By the name of a network; another network has none. */
export const BUILT_IN_VALIDATORS: ReadonlyMap<string, ValidatorList> = new Map([
  ['pubnet', PUBNET],
  ['testnet', TESTNET],
]);

/** How many organisations have to agree where nobody says it: more than two thirds, as consensus itself asks. */
export const usualQuorum = (organisations: number): number => organisations - Math.floor((organisations - 1) / 3);

/** The organisation of each key. */
export const organisationOfKeys = (organisations: Organisations): Map<string, string> =>
  new Map(Object.entries(organisations).flatMap(([name, keys]) => keys.map((key) => [key, name] as const)));
